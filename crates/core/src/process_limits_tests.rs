use super::*;

const SERVER: ServerLimits =
    ServerLimits { memory_bytes: 512 << 20, cpu_millis: 0, processes: 256, disk_bytes: 4 << 30 };

fn limits(settings: &[(&str, &str)]) -> Result<ProcessLimits, LimitError> {
    let mut limits = ProcessLimits::default();
    for (name, text) in settings {
        limits.set(name, Some(text))?;
    }
    InForce::of(&limits, &SERVER).check()?;
    Ok(limits)
}

#[test]
fn what_is_set_wins_over_the_size_and_that_over_the_server() {
    let default = InForce::of(&ProcessLimits::default(), &SERVER);
    assert_eq!((default.size.0.name, default.size.1), ("Standard-1X", Origin::Server));
    assert_eq!(default.memory_bytes, (512 << 20, Origin::Server));
    assert_eq!(default.resources().cpu_shares, None);

    let own = limits(&[("size", "standard-2x"), ("processes", "64"), ("cpu", "0.5")]).unwrap();
    let in_force = InForce::of(&own, &SERVER);
    assert_eq!(in_force.size.0.name, "Standard-2X");
    assert_eq!(in_force.memory_bytes, (1 << 30, Origin::Size));
    assert_eq!(in_force.processes, (64, Origin::App));
    let resources = in_force.resources();
    assert_eq!((resources.cpu_millis, resources.cpu_shares), (Some(500), Some(2_048)));

    let mut own = own;
    own.set("size", None).unwrap();
    own.set("processes", None).unwrap();
    assert_eq!(InForce::of(&own, &SERVER).processes, (256, Origin::Server));
}

#[test]
fn what_cannot_be_a_limit_is_refused_in_one_line() {
    let cases = [
        (vec![("size", "huge")], "There is no size \"huge\" here: use Eco, Basic, Standard-1X"),
        (vec![("colour", "red")], "There is no limit \"colour\": use size, memory, cpu"),
        (vec![("memory", "lots")], "memory is \"lots\": give a size of at least 16M"),
        (vec![("memory", "1M")], "memory is \"1M\": give a size of at least 16M"),
        (vec![("cpu", "0")], "cpu is \"0\": give a number of cores"),
        (vec![("cpu", "NaN")], "cpu is \"NaN\": give a number of cores"),
        (vec![("processes", "1")], "processes is \"1\": give a number of processes from 4"),
        (
            vec![("reserve-memory", "1G")],
            "reserve-memory is 1G, more than the memory limit of 512M.",
        ),
    ];
    for (settings, expected) in cases {
        let said = limits(&settings).unwrap_err().to_string();
        assert!(said.starts_with(expected) && !said.contains('\n'), "{settings:?}: {said}");
    }
}

#[test]
fn a_quota_is_a_reservation_below_the_limit() {
    let quota =
        |settings: &[(&str, &str)]| InForce::of(&limits(settings).unwrap(), &SERVER).quota_bytes();
    assert_eq!(quota(&[]), None);
    assert_eq!(quota(&[("reserve-memory", "512M")]), None);
    assert_eq!(quota(&[("reserve-memory", "128M")]), Some(128 << 20));
    assert_eq!(quota_exceeded(100 << 20, 128 << 20), None);
    let [running, error] = quota_exceeded(789 << 20, 512 << 20).unwrap();
    assert_eq!(running, "Process running mem=789M(154.1%)");
    assert_eq!(error, "Error R14 (Memory quota exceeded)");
}

#[test]
fn cores_are_shown_as_they_are_written() {
    assert_eq!([500, 2_000, 1_250, 10].map(show_cores), ["0.5", "2", "1.25", "0.01"]);
}
