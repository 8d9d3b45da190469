#include "lib/sandbox_calls.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>

#include "lib/log.h"

/* Every process has these. */
enum { CALLS_ALWAYS = 0, CALL_NUMBERS = 1024 };

static const struct {
    int call;
    unsigned sets; /* any of them */
} calls[] = {
    /* octets, from and to what is open */
    {SCMP_SYS(read), CALLS_ALWAYS},
    {SCMP_SYS(write), CALLS_ALWAYS},
    {SCMP_SYS(readv), CALLS_ALWAYS},
    {SCMP_SYS(writev), CALLS_ALWAYS},
    {SCMP_SYS(pread64), CALLS_ALWAYS},
    {SCMP_SYS(pwrite64), CALLS_ALWAYS},
    {SCMP_SYS(preadv), CALLS_ALWAYS},
    {SCMP_SYS(preadv2), CALLS_ALWAYS},
    {SCMP_SYS(pwritev), CALLS_ALWAYS},
    {SCMP_SYS(lseek), CALLS_ALWAYS},
    {SCMP_SYS(_llseek), CALLS_ALWAYS},
    {SCMP_SYS(sendfile), CALLS_ALWAYS},
    {SCMP_SYS(close), CALLS_ALWAYS},
    {SCMP_SYS(close_range), CALLS_ALWAYS},
    {SCMP_SYS(dup), CALLS_ALWAYS},
    {SCMP_SYS(dup2), CALLS_ALWAYS},
    {SCMP_SYS(dup3), CALLS_ALWAYS},
    {SCMP_SYS(fcntl), CALLS_ALWAYS},
    {SCMP_SYS(fcntl64), CALLS_ALWAYS},
    {SCMP_SYS(pipe), CALLS_ALWAYS},
    {SCMP_SYS(pipe2), CALLS_ALWAYS},
    {SCMP_SYS(eventfd2), CALLS_ALWAYS},
    {SCMP_SYS(memfd_create), CALLS_ALWAYS},
    {SCMP_SYS(fadvise64), CALLS_ALWAYS},
    {SCMP_SYS(fadvise64_64), CALLS_ALWAYS},
    {SCMP_SYS(readahead), CALLS_ALWAYS},
    /* files: which ones, Landlock says */
    {SCMP_SYS(open), CALLS_ALWAYS},
    {SCMP_SYS(openat), CALLS_ALWAYS},
    {SCMP_SYS(stat), CALLS_ALWAYS},
    {SCMP_SYS(stat64), CALLS_ALWAYS},
    {SCMP_SYS(fstat), CALLS_ALWAYS},
    {SCMP_SYS(fstat64), CALLS_ALWAYS},
    {SCMP_SYS(lstat), CALLS_ALWAYS},
    {SCMP_SYS(lstat64), CALLS_ALWAYS},
    {SCMP_SYS(newfstatat), CALLS_ALWAYS},
    {SCMP_SYS(fstatat64), CALLS_ALWAYS},
    {SCMP_SYS(statx), CALLS_ALWAYS},
    {SCMP_SYS(statfs), CALLS_ALWAYS},
    {SCMP_SYS(fstatfs), CALLS_ALWAYS},
    {SCMP_SYS(access), CALLS_ALWAYS},
    {SCMP_SYS(faccessat), CALLS_ALWAYS},
    {SCMP_SYS(faccessat2), CALLS_ALWAYS},
    {SCMP_SYS(readlink), CALLS_ALWAYS},
    {SCMP_SYS(readlinkat), CALLS_ALWAYS},
    {SCMP_SYS(getdents64), CALLS_ALWAYS},
    {SCMP_SYS(getcwd), CALLS_ALWAYS},
    {SCMP_SYS(umask), CALLS_ALWAYS},
    /* The first reader of the overview that finds no writer alive makes
       SQLite's shared index of the log anew. */
    {SCMP_SYS(ftruncate), CALLS_ALWAYS},
    {SCMP_SYS(fsync), CALLS_FILES},
    {SCMP_SYS(fdatasync), CALLS_FILES},
    {SCMP_SYS(pwritev2), CALLS_FILES},
    {SCMP_SYS(fallocate), CALLS_FILES},
    {SCMP_SYS(sync_file_range), CALLS_FILES},
    {SCMP_SYS(sync_file_range2), CALLS_FILES},
    {SCMP_SYS(copy_file_range), CALLS_FILES},
    {SCMP_SYS(flock), CALLS_FILES},
    {SCMP_SYS(truncate), CALLS_FILES},
    {SCMP_SYS(unlink), CALLS_FILES},
    {SCMP_SYS(unlinkat), CALLS_FILES},
    {SCMP_SYS(rename), CALLS_FILES},
    {SCMP_SYS(renameat), CALLS_FILES},
    {SCMP_SYS(renameat2), CALLS_FILES},
    {SCMP_SYS(link), CALLS_FILES},
    {SCMP_SYS(linkat), CALLS_FILES},
    {SCMP_SYS(mkdir), CALLS_FILES},
    {SCMP_SYS(mkdirat), CALLS_FILES},
    {SCMP_SYS(rmdir), CALLS_FILES},
    {SCMP_SYS(chmod), CALLS_FILES},
    {SCMP_SYS(fchmod), CALLS_FILES},
    {SCMP_SYS(fchmodat), CALLS_FILES},
    {SCMP_SYS(fchown), CALLS_FILES},
    {SCMP_SYS(utimensat), CALLS_FILES},
    /* memory */
    {SCMP_SYS(brk), CALLS_ALWAYS},
    {SCMP_SYS(mmap), CALLS_ALWAYS},
    {SCMP_SYS(mmap2), CALLS_ALWAYS},
    {SCMP_SYS(munmap), CALLS_ALWAYS},
    {SCMP_SYS(mremap), CALLS_ALWAYS},
    {SCMP_SYS(mprotect), CALLS_ALWAYS},
    {SCMP_SYS(madvise), CALLS_ALWAYS},
    {SCMP_SYS(msync), CALLS_ALWAYS},
    {SCMP_SYS(mlock), CALLS_ALWAYS},
    {SCMP_SYS(mlock2), CALLS_ALWAYS},
    {SCMP_SYS(munlock), CALLS_ALWAYS},
    {SCMP_SYS(membarrier), CALLS_ALWAYS},
    /* threads, and what glibc does when one begins */
    {SCMP_SYS(futex), CALLS_ALWAYS},
    {SCMP_SYS(futex_time64), CALLS_ALWAYS},
    {SCMP_SYS(set_robust_list), CALLS_ALWAYS},
    {SCMP_SYS(get_robust_list), CALLS_ALWAYS},
    {SCMP_SYS(set_tid_address), CALLS_ALWAYS},
    {SCMP_SYS(rseq), CALLS_ALWAYS},
    {SCMP_SYS(sched_yield), CALLS_ALWAYS},
    {SCMP_SYS(setpriority), CALLS_FILES}, /* work that may take its time */
    {SCMP_SYS(sched_getaffinity), CALLS_ALWAYS},
    {SCMP_SYS(sched_getparam), CALLS_ALWAYS},
    {SCMP_SYS(sched_getscheduler), CALLS_ALWAYS},
    {SCMP_SYS(getcpu), CALLS_ALWAYS},
    {SCMP_SYS(exit), CALLS_ALWAYS},
    {SCMP_SYS(exit_group), CALLS_ALWAYS},
    {SCMP_SYS(tgkill), CALLS_ALWAYS}, /* abort() */
    {SCMP_SYS(restart_syscall), CALLS_ALWAYS},
    /* signals */
    {SCMP_SYS(rt_sigaction), CALLS_ALWAYS},
    {SCMP_SYS(rt_sigprocmask), CALLS_ALWAYS},
    {SCMP_SYS(rt_sigreturn), CALLS_ALWAYS},
    {SCMP_SYS(sigreturn), CALLS_ALWAYS},
    {SCMP_SYS(rt_sigpending), CALLS_ALWAYS},
    {SCMP_SYS(rt_sigtimedwait), CALLS_ALWAYS},
    {SCMP_SYS(sigaltstack), CALLS_ALWAYS},
    /* waiting */
    {SCMP_SYS(epoll_create), CALLS_ALWAYS},
    {SCMP_SYS(epoll_create1), CALLS_ALWAYS},
    {SCMP_SYS(epoll_ctl), CALLS_ALWAYS},
    {SCMP_SYS(epoll_wait), CALLS_ALWAYS},
    {SCMP_SYS(epoll_pwait), CALLS_ALWAYS},
    {SCMP_SYS(epoll_pwait2), CALLS_ALWAYS},
    {SCMP_SYS(poll), CALLS_ALWAYS},
    {SCMP_SYS(ppoll), CALLS_ALWAYS},
    {SCMP_SYS(ppoll_time64), CALLS_ALWAYS},
    {SCMP_SYS(select), CALLS_ALWAYS},
    {SCMP_SYS(_newselect), CALLS_ALWAYS},
    {SCMP_SYS(pselect6), CALLS_ALWAYS},
    {SCMP_SYS(timerfd_create), CALLS_ALWAYS},
    {SCMP_SYS(timerfd_settime), CALLS_ALWAYS},
    /* clocks and chance */
    {SCMP_SYS(clock_gettime), CALLS_ALWAYS},
    {SCMP_SYS(clock_gettime64), CALLS_ALWAYS},
    {SCMP_SYS(clock_getres), CALLS_ALWAYS},
    {SCMP_SYS(clock_getres_time64), CALLS_ALWAYS},
    {SCMP_SYS(clock_nanosleep), CALLS_ALWAYS},
    {SCMP_SYS(clock_nanosleep_time64), CALLS_ALWAYS},
    {SCMP_SYS(nanosleep), CALLS_ALWAYS},
    {SCMP_SYS(gettimeofday), CALLS_ALWAYS},
    {SCMP_SYS(time), CALLS_ALWAYS},
    {SCMP_SYS(times), CALLS_ALWAYS},
    {SCMP_SYS(getrandom), CALLS_ALWAYS},
    /* who we are, and how much we have */
    {SCMP_SYS(getpid), CALLS_ALWAYS},
    {SCMP_SYS(getppid), CALLS_ALWAYS},
    {SCMP_SYS(gettid), CALLS_ALWAYS},
    {SCMP_SYS(getuid), CALLS_ALWAYS},
    {SCMP_SYS(geteuid), CALLS_ALWAYS},
    {SCMP_SYS(getgid), CALLS_ALWAYS},
    {SCMP_SYS(getegid), CALLS_ALWAYS},
    {SCMP_SYS(getresuid), CALLS_ALWAYS},
    {SCMP_SYS(getresgid), CALLS_ALWAYS},
    {SCMP_SYS(uname), CALLS_ALWAYS},
    {SCMP_SYS(sysinfo), CALLS_ALWAYS},
    {SCMP_SYS(getrlimit), CALLS_ALWAYS},
    {SCMP_SYS(getrusage), CALLS_ALWAYS},
    /* sockets that are open, and new ones to processes of this machine */
    {SCMP_SYS(socketpair), CALLS_ALWAYS},
    {SCMP_SYS(sendmsg), CALLS_ALWAYS},
    {SCMP_SYS(sendmmsg), CALLS_ALWAYS},
    {SCMP_SYS(recvmsg), CALLS_ALWAYS},
    {SCMP_SYS(recvmmsg), CALLS_ALWAYS},
    {SCMP_SYS(send), CALLS_ALWAYS},
    {SCMP_SYS(sendto), CALLS_ALWAYS},
    {SCMP_SYS(recv), CALLS_ALWAYS},
    {SCMP_SYS(recvfrom), CALLS_ALWAYS},
    {SCMP_SYS(shutdown), CALLS_ALWAYS},
    {SCMP_SYS(getsockopt), CALLS_ALWAYS},
    {SCMP_SYS(setsockopt), CALLS_ALWAYS},
    {SCMP_SYS(getsockname), CALLS_ALWAYS},
    {SCMP_SYS(getpeername), CALLS_ALWAYS},
    {SCMP_SYS(connect), CALLS_ALWAYS},
    {SCMP_SYS(bind), CALLS_NETWORK}, /* netlink, for the names of machines */
    {SCMP_SYS(accept), CALLS_ACCEPT},
    {SCMP_SYS(accept4), CALLS_ACCEPT},
    {SCMP_SYS(listen), CALLS_ACCEPT},
};

/* --- calls of which some are good --- */

static const int families_local[] = {AF_UNIX};
static const int families_network[] = {AF_INET, AF_INET6, AF_NETLINK};
static const unsigned long ioctls[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
static const int prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_NO_NEW_PRIVS};

static void
rule_check(int status, int call)
{
    /* A call that this machine's kind of processor does not have. */
    if (status < 0 && status != -EDOM && status != -EEXIST) {
        errno = -status;
        sysdie(EXIT_SYSTEM, "sandbox: system call %d", call);
    }
}

static void
allow(scmp_filter_ctx filter, int call)
{
    rule_check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), call);
}

static void
allow_where(scmp_filter_ctx filter, int call, struct scmp_arg_cmp argument)
{
    rule_check(
        seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &argument),
        call);
}

static void
sockets_allow(scmp_filter_ctx filter, const int *families, size_t count)
{
    for (size_t i = 0; i < count; i++)
        allow_where(filter, SCMP_SYS(socket),
                    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
}

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void
some_allow(scmp_filter_ctx filter, unsigned sets)
{
    sockets_allow(filter, families_local, COUNT(families_local));
    if ((sets & CALLS_NETWORK) != 0)
        sockets_allow(filter, families_network, COUNT(families_network));
    for (size_t i = 0; i < COUNT(ioctls); i++)
        allow_where(filter, SCMP_SYS(ioctl),
                    SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
    for (size_t i = 0; i < COUNT(prctls); i++)
        allow_where(filter, SCMP_SYS(prctl),
                    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)prctls[i], 0));
    /* Ask for a limit, never set one: glibc, for a thread's stack. */
    allow_where(filter, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    /* A thread, never a process.  What clone3() is asked for lies in memory,
       where no filter looks; glibc takes clone() instead. */
    allow_where(filter, SCMP_SYS(clone),
                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    rule_check(
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0),
        SCMP_SYS(clone3));
}

/* --- what is not allowed --- */

/* Where a call leaves its result; where we do not know that, the kernel gives
   the answer and nobody is told. */
#if defined(__x86_64__)
#define RESULT(where) ((where)->uc_mcontext.gregs[REG_RAX])
#define REFUSE        SCMP_ACT_TRAP
#elif defined(__aarch64__)
#define RESULT(where) ((where)->uc_mcontext.regs[0])
#define REFUSE        SCMP_ACT_TRAP
#else
#define RESULT(where) ((where)->uc_flags)
#define REFUSE        SCMP_ACT_ERRNO(ENOSYS)
#endif

static void
on_refused(int signal, siginfo_t *about, void *context)
{
    ucontext_t *where = context;
    static volatile unsigned char told[CALL_NUMBERS];
    unsigned call = (unsigned)about->si_syscall;

    (void)signal;
    if (call < CALL_NUMBERS && told[call] == 0) {
        told[call] = 1;
        warn_from_signal("sandbox: refused system call number", call);
    }
    RESULT(where) = -ENOSYS;
}

static void
handler_install(void)
{
    struct sigaction action = {.sa_sigaction = on_refused,
                               .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) < 0)
        sysdie(EXIT_SYSTEM, "sandbox: SIGSYS");
}

void
sandbox_calls_enter(unsigned sets)
{
    scmp_filter_ctx filter = seccomp_init(REFUSE);
    int status;

    if (filter == NULL)
        die(EXIT_TEMPORARY, "out of memory: sandbox");
    handler_install();
    for (size_t i = 0; i < COUNT(calls); i++)
        if (calls[i].sets == CALLS_ALWAYS || (calls[i].sets & sets) != 0)
            allow(filter, calls[i].call);
    some_allow(filter, sets);
    /* As a tree, since each call of a busy loop goes through it. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    status = seccomp_load(filter);
    seccomp_release(filter);
    if (status == -EINVAL || status == -ENOSYS) {
        warn("this kernel has no seccomp: system calls are those of the user");
        return;
    }
    rule_check(status, 0);
}
