//! The dashboard's server: REST under `/api/v1`, live updates by server-sent events, login, and
//! the built single-page application.
//!
//! The server knows no packet and no database: the program hands it a [`Backend`]. What it must
//! keep, whatever it is asked: nobody without a session or the API token reads anything, no page
//! of another origin can make it act, and no client can make it wait or grow.

mod api;
mod assets;
mod auth;
mod backend;
mod config;
mod desk;
mod guard;
mod live;
mod server;
mod sink;
mod stall;

pub use api::{
    blocks::{BlockList, BlockPreview, BlockRequest, BlockRow, Blocking, Confirm, PreviewHost},
    capture::{
        CaptureRequest, CaptureState, CaptureStatus, FilterProblem, Interface, InterfaceKind,
    },
    channels::{ChannelState, ChannelStatus},
    export::{ExportKind, ExportRequest},
    flows::{FlowQuery, FlowSort, Order},
    health::{Health, HealthPart, HealthState},
    openapi,
    rules::RulesStatus,
    series::SeriesQuery,
};
pub use backend::{Backend, CaptureProblem, Page};
pub use config::WebConfig;
pub use desk::{AlertDesk, AlertNews};
pub use server::{Peers, Server, ServerHandle};
