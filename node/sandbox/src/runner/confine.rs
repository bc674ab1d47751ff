//! Gives up everything that an engine does not need, by the means that the system has.
//!
//! What a kernel lacks is left out; the node says so. Nothing here needs privileges.

use crate::{confinement::Confinement, words::Role};

#[cfg(target_os = "linux")]
pub(super) use self::linux::{after_threads, before_threads};

#[cfg(not(target_os = "linux"))]
pub(super) fn before_threads() -> Confinement {
    Confinement::default()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn after_threads(_role: Role, _niceness: i32, _confinement: &mut Confinement) {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{collections::BTreeMap, convert::TryInto};

    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
    };
    use rustix::{
        process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
        thread::UnshareFlags,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        apply_filter_all_threads,
    };

    use super::{Confinement, Role};
    use crate::confinement::Measure;

    /// The newest access rights that are given up, as far as the kernel knows them.
    const RIGHTS: ABI = ABI::V6;

    /// What has to happen while the process has one thread.
    pub(in crate::runner) fn before_threads() -> Confinement {
        let mut confinement = Confinement::default();
        // When memory runs out, the kernel ends this process before any other.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        // No core dumps of strangers' data, and no other process of this user looks in.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let limits = [Resource::Core, Resource::Fsize, Resource::Msgqueue, Resource::Memlock];
        let are_set = limits.map(|resource| setrlimit(resource, none).is_ok());
        if are_set.iter().all(|is_set| *is_set) {
            confinement.add(Measure::Resources);
        }
        if has_own_namespaces() {
            confinement.add(Measure::Namespaces);
        }
        if opens_no_files() {
            confinement.add(Measure::Files);
        }
        confinement
    }

    /// A user that is nobody outside, a network without devices, no shared queues, and as its root the directory in
    /// which the node has started it, which is empty.
    fn has_own_namespaces() -> bool {
        let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
        // SAFETY: No file descriptors are unshared, and there is no other thread.
        #[allow(unsafe_code)]
        let unshared = unsafe { rustix::thread::unshare_unsafe(flags) };
        unshared.and_then(|()| rustix::process::chroot(".")).is_ok()
    }

    fn opens_no_files() -> bool {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RIGHTS))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(RIGHTS)))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(RIGHTS)))
            .and_then(Ruleset::create)
            .and_then(landlock::RulesetCreated::restrict_self);
        ruleset.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
    }

    /// What has to happen when all threads have started.
    pub(in crate::runner) fn after_threads(role: Role, niceness: i32, confinement: &mut Confinement) {
        if calls_little(role, niceness).is_ok() {
            confinement.add(Measure::SystemCalls);
        }
    }

    /// System calls that every runner may make: memory, threads that wait for each other, time, its socket.
    const ALLOWED: &[i64] = &[
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_fcntl,
        libc::SYS_fstat,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_lseek,
        libc::SYS_madvise,
        libc::SYS_membarrier,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_nanosleep,
        libc::SYS_ppoll,
        libc::SYS_pread64,
        libc::SYS_read,
        libc::SYS_recvmsg,
        libc::SYS_recvfrom,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_sendmsg,
        libc::SYS_sendto,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sigaltstack,
        libc::SYS_write,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];

    fn calls_little(role: Role, niceness: i32) -> Result<(), Box<dyn std::error::Error>> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        let mut allow_if = |call, argument, operator, value| -> Result<(), Box<dyn std::error::Error>> {
            let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
            rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
            Ok(())
        };
        // Aborting signals a thread of this very process.
        allow_if(libc::SYS_tgkill, 0, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
        // Its priority may become what the node has said, and no other.
        allow_if(libc::SYS_setpriority, 2, SeccompCmpOp::Eq, u64::from(niceness.cast_unsigned()))?;
        // Threads name themselves.
        allow_if(libc::SYS_prctl, 0, SeccompCmpOp::Eq, u64::try_from(libc::PR_SET_NAME)?)?;
        // The engine asks for the size of the open file that holds a compiled program.
        let open = u64::try_from(libc::AT_EMPTY_PATH)?;
        allow_if(libc::SYS_newfstatat, 3, SeccompCmpOp::MaskedEq(open), open)?;
        allow_if(libc::SYS_statx, 2, SeccompCmpOp::MaskedEq(open), open)?;
        if role == Role::Compile {
            // The compiler works in several threads. They are started by `clone`, whose flags a filter can see.
            let thread = u64::try_from(libc::CLONE_THREAD)?;
            let is_thread = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), thread)?;
            rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is_thread])?]);
            let newer = [(libc::SYS_clone3, Vec::new())].into();
            apply(newer, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.try_into()?))?;
            rules.insert(libc::SYS_clone3, Vec::new());
        }
        // A call that is refused looks like one that the system lacks, which libraries know how to bear.
        apply(rules, SeccompAction::Errno(libc::EPERM.try_into()?), SeccompAction::Allow)
    }

    fn apply(
        rules: BTreeMap<i64, Vec<SeccompRule>>,
        otherwise: SeccompAction,
        matched: SeccompAction,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let filter = SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?;
        let program: BpfProgram = filter.try_into()?;
        apply_filter_all_threads(&program)?;
        Ok(())
    }
}
