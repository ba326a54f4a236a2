use crate::harness::Machine;
use std::path::Path;
use windlass_core::ids::AppId;
use windlass_core::instance::Mount;

crate::tests![
    processes_have_no_privileges,
    root_is_another_user_outside,
    dangerous_calls_are_refused,
    system_calls_are_filtered,
    host_files_are_not_seen,
];

async fn processes_have_no_privileges() {
    let machine = Machine::start().await;
    let script = "grep -E 'Cap(Eff|Bnd|Prm|Inh|Amb)|NoNewPrivs|Seccomp:' /proc/self/status";
    let (_, log) = machine.output_of(machine.script(script)).await;
    let none = "\t0000000000000000";
    let expected =
        ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|c| format!("{c}{none}"));
    assert_eq!(log[..5], expected);
    assert_eq!(log[5..], ["NoNewPrivs:\t1", "Seccomp:\t2"]);

    let mut root = machine.script(script);
    root.user = 0;
    let (_, log) = machine.output_of(root).await;
    // Docker's default set 00000000a80425fb less CAP_NET_RAW (13) and CAP_MKNOD (27).
    assert_eq!(log[3], "CapBnd:\t00000000a00405fb");
    assert_eq!(log[2], "CapEff:\t00000000a00405fb");
    machine.finish().await;
}

async fn root_is_another_user_outside() {
    let machine = Machine::start().await;
    let mut spec = machine.script("cat /proc/self/uid_map; stat -c '%u:%g' /bin/busybox /home/app; touch /tmp/mine; stat -c %u /tmp/mine; chown 7:8 /tmp/mine; stat -c %u:%g /tmp/mine");
    spec.user = 0;
    let (_, log) = machine.output_of(spec.clone()).await;
    let map: Vec<_> = log[0].split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536"]);
    assert_eq!(log[1..], ["0:0", "1000:1000", "0", "7:8"]);

    let mut other = machine.script("cat /proc/self/uid_map");
    other.labels.app = AppId::random();
    let (_, log) = machine.output_of(other).await;
    assert_eq!(log[0].split_whitespace().nth(1), Some("165536"), "each app has its own users");
    machine.finish().await;
}

async fn dangerous_calls_are_refused() {
    let machine = Machine::start().await;
    for user in [0, 1000] {
        let mut spec = machine.script(
            "mount -t tmpfs none /tmp; umount /proc; unshare -r true; unshare -m true; mknod /tmp/d b 8 0; \
             echo 1 > /proc/sys/kernel/hostname; hostname other; \
             cat /proc/kcore | head -c 1 | wc -c; ls /sys/firmware | wc -l; echo x > /sys/kernel/uevent_helper; dmesg | wc -l; \
             chroot / true && echo chroot; echo 0 > /proc/self/oom_score_adj; swapoff -a; date -s 2020-01-01 >/dev/null; echo end",
        );
        spec.user = user;
        let (_, log) = machine.output_of(spec).await;
        let text = log.join("\n");
        for part in [
            "mount: ",
            "umount: ",
            "unshare: unshare(0x10000000): Operation not permitted",
            "unshare: unshare(0x20000): Operation not permitted",
            "mknod: /tmp/d: Operation not permitted",
            "can't create /proc/sys/kernel/hostname: Read-only file system",
            "hostname: sethostname: Operation not permitted",
            "date: can't set date: Operation not permitted",
            "dmesg: klogctl: Operation not permitted",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(text.ends_with("end"), "{text}");
    }
    machine.finish().await;
}

async fn host_files_are_not_seen() {
    let machine = Machine::start().await;
    let secret = machine.path().to_str().unwrap();
    let script = format!(
        "ls {secret} 2>&1; ls /; cat /proc/1/environ | wc -c; ls -l /proc/1/fd 2>&1 | tail -1; \
         grep -c windlass /proc/self/mountinfo; cat /proc/self/mountinfo | wc -l; ls /dev; ls /sys/class/net; ps"
    );
    let (_, log) = machine.output_of(machine.script(&script)).await;
    let text = log.join("\n");
    assert!(text.contains("No such file or directory"), "{text}");
    assert!(!text.contains("vda") && !text.contains("sda"), "{text}");
    assert!(text.contains("eth0") && !text.contains("wl"), "{text}");

    let (_, log) = machine.output_of(machine.script("ls /proc/$$/fd; umask; ulimit -c")).await;
    assert_eq!(log, ["0", "1", "2", "0022", "0"], "no file but the standard ones is inherited");
    machine.finish().await;
}

/// Runs this very program inside, with the host's libraries, to make system calls.
async fn system_calls_are_filtered() {
    let machine = Machine::start().await;
    let this = std::env::current_exe().unwrap();
    for user in [0, 1000] {
        let mut spec = machine.command(&["/probe", "make-system-calls"]);
        spec.user = user;
        let libraries = ["/lib", "/lib64", "/usr/lib"].map(Path::new).into_iter();
        spec.mounts = libraries
            .filter(|path| path.exists())
            .map(|path| (path.to_owned(), path.to_str().unwrap().to_owned()))
            .chain([(this.clone(), "/probe".to_owned())])
            .map(|(source, target)| Mount {
                source: source.into(),
                target,
                writable: false,
                id_mapped: false,
            })
            .collect();
        let (_, log) = machine.output_of(spec).await;
        let expected: Vec<_> = crate::calls::CALLS
            .iter()
            .map(|call| format!("{}: {}", call.name, call.expected))
            .collect();
        assert_eq!(log, expected, "user {user}");
    }
    machine.finish().await;
}
