//! A router alone, for measuring it: `router ADDRESS CONTROL_SOCKET TABLE_FILE [HTTPS_ADDRESS]`, the
//! last with HTTP/3 too.

use std::error::Error;
use tokio::signal::unix::{SignalKind, signal};
use windlass_router::RouterConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, socket, table, https @ ..] = arguments.as_slice() else {
        return Err("usage: router ADDRESS CONTROL_SOCKET TABLE_FILE [HTTPS_ADDRESS]".into());
    };
    let mut config = RouterConfig::new(address.parse()?, socket.into(), table.into());
    config.listen.https = https.first().map(|address| address.parse()).transpose()?;
    config.listen.http3 = config.listen.https.is_some();
    windlass_router::runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = async move {
            terminate.recv().await;
        };
        windlass_router::run(config, shutdown, |address| println!("serving on {address}")).await?;
        Ok(())
    })
}
