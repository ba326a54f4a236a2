//! The system call filter of every container: an allow list that lets through no more than
//! Docker's default profile does for a container without extra capabilities.
//!
//! It is compiled once, by the driver, and handed to the shims as a file: compiling at each start
//! would cost more than the rest of the start.

use crate::syscalls::{ALLOWED, ALLOWED_LEGACY};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// `personality` values that programs need: Linux, 32-bit, no address randomisation … , "which is it".
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Returns the filter for this machine's architecture.
pub fn compile() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(ALLOWED_LEGACY).map(|number| (*number, Vec::new())).collect();

    let no_namespaces = SeccompCondition::new(0, Length::Qword, Op::MaskedEq(NAMESPACE_FLAGS), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_namespaces])?]);

    let personalities = PERSONALITIES.iter().map(|value| {
        SeccompRule::new(vec![SeccompCondition::new(0, Length::Qword, Op::Eq, *value)?])
    });
    rules.insert(libc::SYS_personality, personalities.collect::<Result<_, _>>()?);

    // Virtual machine sockets reach the hypervisor; the kernel's cryptography is attack surface.
    let not_family = |family: i32| SeccompCondition::new(0, Length::Dword, Op::Ne, family as u64);
    let families = vec![not_family(libc::AF_VSOCK)?, not_family(libc::AF_ALG)?];
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(families)?]);

    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter: BpfProgram =
        SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture)?.try_into()?;
    Ok(without_clone3(filter))
}

/// Puts `clone3 → ENOSYS` before a filter: its flags are in memory, where a filter cannot look,
/// and with ENOSYS (unlike EPERM) every C library falls back to `clone`.
fn without_clone3(filter: BpfProgram) -> BpfProgram {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let mut program = vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_clone3 as u32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
    ];
    program.extend(filter);
    program
}

/// Writes a program for [`load`].
pub fn save(program: &BpfProgram, path: &Path) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        bytes.extend_from_slice(&instruction.code.to_ne_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_ne_bytes());
    }
    std::fs::write(path, bytes)
}

/// Reads a program. An empty or cut file is an error: no container runs without its filter.
pub fn load(path: &Path) -> io::Result<BpfProgram> {
    let bytes = std::fs::read(path)?;
    if bytes.is_empty() || bytes.len() % 8 != 0 {
        return Err(io::Error::other("the system call filter is damaged"));
    }
    let instruction = |b: &[u8]| sock_filter {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    };
    Ok(bytes.chunks_exact(8).map(instruction).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_file_but_not_a_cut_one() {
        let program = compile().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        save(&program, &path).unwrap();
        assert_eq!(load(&path).unwrap(), program);
        std::fs::write(&path, [1, 2, 3]).unwrap();
        assert!(load(&path).is_err());
        std::fs::write(&path, []).unwrap();
        assert!(load(&path).is_err());
    }

    #[test]
    fn dangerous_calls_are_not_on_the_list() {
        let never = [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_open_by_handle_at,
            libc::SYS_pivot_root,
            libc::SYS_fsopen,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_settimeofday,
            libc::SYS_clone3,
            libc::SYS_clone,
            libc::SYS_socket,
            libc::SYS_personality,
            libc::SYS_quotactl,
            libc::SYS_syslog,
        ];
        for number in never {
            assert!(
                !ALLOWED.contains(&number) && !ALLOWED_LEGACY.contains(&number),
                "system call {number}"
            );
        }
    }
}
