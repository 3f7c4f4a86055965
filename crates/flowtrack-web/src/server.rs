//! Listening, the runtime, and stopping.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use crate::{
    api::{self, App},
    backend::Backend,
    config::WebConfig,
    guard::Peer,
    live,
    stall::StallGuard,
};

/// The dashboard's server.
pub struct Server;

impl Server {
    /// Listens and serves on a runtime of two threads of its own.
    pub fn start(config: WebConfig, backend: Arc<dyn Backend>) -> Result<ServerHandle> {
        config.check()?;
        let listener = TcpListener::bind(config.listen).with_context(|| {
            format!("cannot listen on {} (--listen chooses another address)", config.listen)
        })?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        if !addr.ip().is_loopback() {
            tracing::warn!(%addr, "the dashboard is open to the network and not encrypted");
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            // Bounded by the semaphores of `App`; this is only a second wall.
            .max_blocking_threads(16)
            .thread_name("flowtrack-web")
            .enable_all()
            .build()
            .context("cannot start the dashboard's threads")?;

        let (stop, stopped) = watch::channel(false);
        let app =
            Arc::new(App::new(WebConfig { listen: addr, ..config }, backend, stopped.clone()));
        runtime.spawn(live::publish(Arc::clone(&app), stopped.clone()));
        let router = api::router(Arc::clone(&app));
        let done = runtime.spawn(accept(listener, router, app.config.max_connections, stopped));
        Ok(ServerHandle { addr, app, stop, serving: Some((runtime, done)) })
    }
}

/// A running server; dropping it stops it.
pub struct ServerHandle {
    addr: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: Option<(Runtime, tokio::task::JoinHandle<()>)>,
}

impl ServerHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address to open in a browser that is signed in.
    pub fn url(&self) -> String {
        format!("http://{}", browsable(self.addr))
    }

    /// A new link that signs one browser in, once.
    pub fn login_url(&self) -> Result<String> {
        Ok(format!("{}/login?token={}", self.url(), self.app.auth.new_link()?))
    }

    /// Tells from where people use the dashboard.
    pub fn peers(&self) -> Peers {
        Peers(Arc::downgrade(&self.app))
    }

    /// Stops listening, ends live updates, and waits a little for what is being answered.
    pub fn shutdown(mut self) {
        self.stop_serving();
    }

    fn stop_serving(&mut self) {
        let Some((runtime, done)) = self.serving.take() else { return };
        self.stop.send_replace(true);
        // An error means that the time is over; what still runs is cut off.
        let _ = runtime.block_on(async { timeout(GRACE, done).await });
        runtime.shutdown_timeout(Duration::from_millis(500));
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop_serving();
    }
}

/// From where people use the dashboard; outlives the server.
#[derive(Clone)]
pub struct Peers(Weak<App>);

impl Peers {
    /// Addresses from which somebody who is signed in asked within the last day.
    pub fn list(&self) -> Vec<IpAddr> {
        self.0.upgrade().map(|app| app.auth.peers(Instant::now())).unwrap_or_default()
    }
}

/// Where a browser on this machine finds a server that listens on `addr`.
fn browsable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Accepts connections until told to stop, then waits for those that are open.
///
/// Not `axum::serve`, which limits neither connections nor the time that a client takes to send
/// a request or to read its answer.
async fn accept(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the dashboard cannot listen"),
    };
    let slots = Arc::new(Semaphore::new(max_connections));
    let open = GracefulShutdown::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("it is never closed");
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|&stop| stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer, router.clone(), open.watcher());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file handles, for one; trying again at once would burn a core.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
    open.shutdown().await;
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, watcher: Watcher) {
    // Live updates are small and complete; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(axum::body::Body::new)).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_headers(64)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(StallGuard::new(stream, STALL_LIMIT)), service);
    // Clients that vanish or talk nonsense are their own problem.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// What open connections get to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// For the head of a request, the wait for it on a kept connection included.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// For a client that does not read what it asked for.
const STALL_LIMIT: Duration = Duration::from_secs(30);
