//! What the two name servers in the router's process have in common.

use std::io;
use std::time::Duration;
use windlass_dns::Doors;
use windlass_router::RouterConfig;

/// How a name server gets its sockets.
pub struct Binding<O> {
    /// The first attempt.
    pub bound: io::Result<Doors>,
    /// Another attempt.
    pub open: O,
    /// How long until it is made.
    pub again: Duration,
    /// What is answered, for the log.
    pub what: &'static str,
}

/// Serves until the next router answers on the same sockets. A port that is taken is waited for.
pub fn spawn<O, S, A>(binding: Binding<O>, serve: S, config: &RouterConfig)
where
    O: Fn() -> io::Result<Doors> + Send + 'static,
    S: FnOnce(Doors) -> A + Send + 'static,
    A: Future<Output = io::Result<()>> + Send,
{
    let mut handed_over = config.handed_over.subscribe();
    let what = binding.what;
    let serve = async move {
        let doors = match binding.bound {
            Ok(doors) => doors,
            Err(_) => wait_for_doors(binding.open, binding.again, what).await,
        };
        if let Err(error) = serve(doors).await {
            tracing::error!(%error, "there is no answer to {what}");
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = serve => {}
            _ = handed_over.wait_for(|handed_over| *handed_over) => {}
        }
    });
}

async fn wait_for_doors(
    open: impl Fn() -> io::Result<Doors>,
    again: Duration,
    what: &'static str,
) -> Doors {
    loop {
        tokio::time::sleep(again).await;
        if let Ok(doors) = open() {
            tracing::info!(listen = %doors.address(), "{what} are answered now");
            return doors;
        }
    }
}
