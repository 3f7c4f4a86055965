//! Tells people about alerts: e-mail, SMS, webhooks, chats, syslog, desktop.
