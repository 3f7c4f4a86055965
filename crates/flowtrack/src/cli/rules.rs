//! The command line of `flowtrack rules`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with rules.
#[derive(Subcommand, Debug)]
pub enum RulesAction {
    /// Say what is wrong with rules, and what is unwise
    Check {
        /// Rule files, or folders of them [default: those that `run` judges by]
        #[arg(value_name = "PATH")]
        files: Vec<PathBuf>,
        /// Print only the summary
        #[arg(short, long)]
        quiet: bool,
    },
    /// Say in words what a rule looks for, and which pattern is searched for first
    Explain {
        /// Number of the rule, as `2019401` or `1:2019401`
        #[arg(value_name = "SID")]
        sid: String,
        /// Where the rules are
        #[command(flatten)]
        from: From,
    },
    /// List rules, those that are switched off too
    List {
        /// Only rules that have all of these words in number, message, class or file
        #[arg(value_name = "WORD")]
        words: Vec<String>,
        /// Where the rules are
        #[command(flatten)]
        from: From,
    },
    /// Switch rules on, also such as stand in a comment
    Enable {
        /// `2019401`, `re:EXPRESSION`, `group:FILE` or `metadata:NAME VALUE`
        #[arg(required = true, value_name = "WHICH")]
        which: Vec<String>,
    },
    /// Switch rules off
    Disable {
        /// `2019401`, `re:EXPRESSION`, `group:FILE` or `metadata:NAME VALUE`
        #[arg(required = true, value_name = "WHICH")]
        which: Vec<String>,
    },
    /// Fetch rules anew, from the sources that are configured or from these
    Update {
        /// Files or URLs of `.rules` or of `.tar.gz` with rules
        #[arg(value_name = "SOURCE")]
        sources: Vec<String>,
    },
    /// Say which rules cost most on a capture file
    Profile {
        /// Capture file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the rules are
        #[command(flatten)]
        from: From,
        /// How many rules to show
        #[arg(long, value_name = "N", default_value_t = 20)]
        top: usize,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the reference of all keywords
    Docs,
}

/// Where rules are read from.
#[derive(Args, Debug)]
pub struct From {
    /// Rule files, or folders of them, instead of those that `run` judges by; may be repeated
    #[arg(short = 'S', long = "rules", value_name = "PATH")]
    pub rules: Vec<PathBuf>,
}
