//! Prints how fast starting is; fails only when it is absurdly slow, since machines differ.

use crate::harness::Machine;
use std::time::{Duration, Instant};
use windlass_core::driver::{AttachedOutput, Driver};
use windlass_core::instance::Output;

crate::tests![starting_is_fast];

async fn starting_is_fast() {
    let machine = Machine::start().await;
    let (mut first_output, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let mut spec = machine.command(&["/bin/echo", "x"]);
        spec.output = Output::Attached { terminal: None };
        let id = spec.id.clone();
        let start = Instant::now();
        let mut attached = machine.driver.start_attached(spec).await.unwrap();
        assert!(matches!(attached.output.recv().await, Some(AttachedOutput::Stdout(_))));
        first_output.push(start.elapsed());
        assert!(matches!(attached.output.recv().await, Some(AttachedOutput::Exited(_))));
        ended.push(start.elapsed());
        machine.driver.forget(&id).await.unwrap();
    }
    let shim = {
        let spec = machine.script("sleep 1000");
        let id = spec.id.clone();
        machine.driver.start(spec).await.unwrap();
        let lock = machine.config.run_directory.join("instances").join(id.as_str()).join("lock");
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::fs::read_to_string(lock).unwrap()
    };
    let memory = std::fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap();
    let memory: Vec<_> = memory
        .lines()
        .filter(|l| l.starts_with("Pss:") || l.starts_with("Private_Dirty"))
        .collect();
    first_output.sort();
    ended.sort();
    println!(
        "  first output: median {:.1?}, best {:.1?}, 90 % {:.1?}; ended: median {:.1?}; a shim: {memory:?}",
        first_output[15], first_output[0], first_output[27], ended[15]
    );
    assert!(first_output[15] < Duration::from_secs(10));
    machine.finish().await;
}
