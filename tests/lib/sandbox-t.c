#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/thread.h"

/* Directories of a server, each with one file in it. */
struct fixture {
    char *directory;
    struct config *config;
};

static char *
path_of(const struct fixture *fixture, const char *name)
{
    return xasprintf("%s/%s", fixture->directory, name);
}

static const char *const names[] = {"spool", "ov", "db", "db/history",
                                    "other"};

static int
fixture_open(void **state)
{
    static const char template[] = "/tmp/renews-sandbox-XXXXXX";
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    char *here = xstrdup(template);
    char *text;
    int accounts;
    struct buffer why = BUFFER_EMPTY;

    assert_non_null(mkdtemp(here));
    fixture->directory = realpath(here, NULL);
    assert_non_null(fixture->directory);
    free(here);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = path_of(fixture, names[i]);
        char *file = xasprintf("%s/file", path);
        int fd;

        assert_int_equal(mkdir(path, 0700), 0);
        fd = open(file, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        free(file);
        free(path);
    }
    text = path_of(fixture, "db/accounts.sqlite");
    accounts = open(text, O_CREAT | O_WRONLY, 0600);
    assert_true(accounts >= 0);
    close(accounts);
    free(text);
    text =
        xasprintf("pathspool = \"%s/spool\"\npathoverview = \"%s/ov\"\n"
                  "pathdb = \"%s/db\"\n",
                  fixture->directory, fixture->directory, fixture->directory);
    fixture->config = config_parse("t.conf", text, &why);
    assert_non_null(fixture->config);
    free(text);
    *state = fixture;
    return 0;
}

static int
fixture_close(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = sizeof(names) / sizeof(names[0]); i-- > 0;) {
        char *path = path_of(fixture, names[i]);
        char *file = xasprintf("%s/file", path);
        char *made = xasprintf("%s/new", path);
        char *accounts = xasprintf("%s/accounts.sqlite", path);

        unlink(made);
        unlink(file);
        unlink(accounts);
        assert_int_equal(rmdir(path), 0);
        free(made);
        free(accounts);
        free(file);
        free(path);
    }
    assert_int_equal(rmdir(fixture->directory), 0);
    config_free(&fixture->config);
    free(fixture->directory);
    free(fixture);
    return 0;
}

enum deed { DEED_READ, DEED_WRITE, DEED_MAKE, DEED_REMOVE };

static const struct {
    enum sandbox_role role;
    const char *where;
    enum deed deed;
    bool allowed;
    const char *promise;
} cases[] = {
    {SANDBOX_NNRPD, "spool", DEED_READ, true, "a worker reads the spool"},
    {SANDBOX_NNRPD, "spool", DEED_WRITE, false, "and does not write to it"},
    {SANDBOX_NNRPD, "spool", DEED_MAKE, false, "nor make files there"},
    {SANDBOX_NNRPD, "spool", DEED_REMOVE, false, "nor remove any"},
    {SANDBOX_NNRPD, "ov", DEED_READ, true, "a worker reads the overview"},
    {SANDBOX_NNRPD, "ov", DEED_WRITE, true, "and its shared memory"},
    {SANDBOX_NNRPD, "ov", DEED_MAKE, false, "but makes nothing there"},
    {SANDBOX_NNRPD, "ov", DEED_REMOVE, false, "and removes nothing"},
    {SANDBOX_NNRPD, "db", DEED_READ, false, "secrets are not a worker's"},
    {SANDBOX_NNRPD, "other", DEED_READ, false, "nor is anything else"},
    {SANDBOX_NNRPD, "other", DEED_WRITE, false, "least of all to write"},
    {SANDBOX_WRITER, "spool", DEED_WRITE, true, "the writer writes"},
    {SANDBOX_WRITER, "spool", DEED_MAKE, true, "and makes segments"},
    {SANDBOX_WRITER, "spool", DEED_REMOVE, true, "and removes them"},
    {SANDBOX_WRITER, "db/history/file", DEED_WRITE, true,
     "and keeps a history"},
    {SANDBOX_WRITER, "db/history/new", DEED_MAKE, true,
     "whose files it makes"},
    {SANDBOX_WRITER, "db/accounts.sqlite", DEED_READ, false,
     "but does not read the accounts"},
    {SANDBOX_WRITER, "db/accounts.sqlite", DEED_WRITE, false,
     "nor write to them"},
    {SANDBOX_WRITER, "db/accounts.sqlite", DEED_REMOVE, false,
     "nor remove them"},
    {SANDBOX_WRITER, "db", DEED_MAKE, false, "and makes no files there"},
    {SANDBOX_WRITER, "other", DEED_READ, false, "and reads nothing else"},
    {SANDBOX_WRITER, "other", DEED_WRITE, false, "nor writes elsewhere"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_READ, true,
     "auth reads accounts"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_WRITE, true, "and writes them"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_REMOVE, false,
     "but cannot remove them"},
    {SANDBOX_AUTH, "db", DEED_READ, false, "nor reach what lies beside them"},
    {SANDBOX_AUTH, "db", DEED_MAKE, false, "nor make files there"},
    {SANDBOX_AUTH, "spool", DEED_READ, false, "and reads no articles"},
    {SANDBOX_WRITER, "spool", DEED_READ, true, "the writer reads its own"},
    {SANDBOX_BRIDGE, "spool", DEED_READ, false,
     "the bridge reads no articles"},
    {SANDBOX_BRIDGE, "ov", DEED_READ, false, "and no overview"},
    {SANDBOX_BRIDGE, "db", DEED_READ, false, "and no secret"},
    {SANDBOX_BRIDGE, "other", DEED_WRITE, false, "and writes nowhere"},
};

/* 0: could, 1: could not, for want of the right; 2: for another reason. */
static int
deed_try(const struct fixture *fixture, const char *where, enum deed deed)
{
    const char *name = deed == DEED_MAKE ? "/new" : "/file";
    /* where is a directory, or a file in one. */
    char *file = xasprintf("%s/%s%s", fixture->directory, where,
                           strchr(where, '/') == NULL ? name : "");
    int result;

    if (deed == DEED_REMOVE)
        result = unlink(file);
    else if (deed == DEED_READ)
        result = open(file, O_RDONLY);
    else
        result =
            open(file, O_WRONLY | (deed == DEED_MAKE ? O_CREAT : 0), 0600);
    if (result >= 0)
        return 0;
    /* Refused by Landlock, or as a call. */
    return errno == EACCES || errno == ENOSYS ? 1 : 2;
}

static void
test_a_role_reaches_what_it_needs_and_no_more(void **state)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
        skip(); /* this kernel has no Landlock */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status;
        pid_t child;

        fixture_close(state);
        fixture_open(state);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct fixture *fixture = *state;

            sandbox_enter(cases[i].role, fixture->config);
            if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                _exit(3);
            _exit(deed_try(fixture, cases[i].where, cases[i].deed));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status)
            || WEXITSTATUS(status) != (cases[i].allowed ? 0 : 1))
            fail_msg("%s: status %x", cases[i].promise, (unsigned)status);
    }
}

/* --- system calls --- */

static long
call_execute(void)
{
    static char program[] = "/bin/true";
    char *words[] = {program, NULL};

    return execve(program, words, words + 1);
}

static long
call_fork(void)
{
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0)
        _exit(0);
    return child;
}

static long
call_internet(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long
call_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long
call_accept(void)
{
    long result = accept(-1, NULL, NULL);

    return result < 0 && errno == EBADF ? 0 : result;
}

static long
call_unlink(void)
{
    long result = unlink("/nowhere/at all");

    return result < 0 && errno != ENOSYS ? 0 : result;
}

static long
call_kill(void)
{
    return kill(getppid(), 0);
}

static long
call_limit(void)
{
    struct rlimit limit = {4096, 4096};

    return setrlimit(RLIMIT_NOFILE, &limit);
}

static long
call_trace(void)
{
    return syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void *
thread_run(void *context)
{
    *(long *)context = call_execute() < 0 && errno == ENOSYS;
    return NULL;
}

/* A thread may begin, and is confined as its process is. */
static long
call_thread(void)
{
    pthread_t thread;
    long confined = 0;

    errno = thread_begin(&thread, thread_run, &confined);
    if (errno != 0)
        return -1;
    pthread_join(thread, NULL);
    errno = EPERM;
    return confined ? 0 : -1;
}

static const struct {
    enum sandbox_role role;
    long (*call)(void);
    bool allowed;
    const char *promise;
} calls[] = {
    {SANDBOX_NNRPD, call_execute, false, "a worker runs no program"},
    {SANDBOX_NNRPD, call_fork, false, "and makes no process"},
    {SANDBOX_NNRPD, call_thread, true, "but threads, confined like it"},
    {SANDBOX_NNRPD, call_internet, false, "it calls nobody"},
    {SANDBOX_NNRPD, call_unix, true, "but syslog"},
    {SANDBOX_NNRPD, call_accept, false, "the master accepts for it"},
    {SANDBOX_NNRPD, call_unlink, false, "it removes nothing"},
    {SANDBOX_NNRPD, call_kill, false, "it ends nobody"},
    {SANDBOX_NNRPD, call_limit, false, "and cannot raise its limits"},
    {SANDBOX_NNRPD, call_trace, false, "nor look into others"},
    {SANDBOX_WRITER, call_unlink, true, "the writer removes segments"},
    {SANDBOX_WRITER, call_accept, true, "and accepts tools"},
    {SANDBOX_WRITER, call_internet, false, "but calls nobody"},
    {SANDBOX_WRITER, call_execute, false, "and runs no program"},
    {SANDBOX_FEEDER, call_internet, true, "a feeder calls peers"},
    {SANDBOX_FEEDER, call_execute, false, "and runs no program"},
    {SANDBOX_AUTH, call_internet, false, "auth calls nobody"},
    {SANDBOX_AUTH, call_execute, false, "and runs no program"},
    {SANDBOX_BRIDGE, call_accept, true, "the bridge accepts browsers"},
    {SANDBOX_BRIDGE, call_unlink, false, "and removes nothing"},
    {SANDBOX_BRIDGE, call_execute, false, "and runs no program"},
};

static void
test_a_role_makes_the_calls_it_needs_and_no_others(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        char said[512] = "";
        int ends[2];
        int status;
        pid_t child;

        assert_int_equal(pipe(ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            dup2(ends[1], STDERR_FILENO);
            sandbox_enter(calls[i].role, fixture->config);
            if (calls[i].call() >= 0)
                _exit(0);
            _exit(errno == ENOSYS ? 1 : 2);
        }
        close(ends[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status)
            || WEXITSTATUS(status) != (calls[i].allowed ? 0 : 1))
            fail_msg("%s: status %x", calls[i].promise, (unsigned)status);
        assert_true(read(ends[0], said, sizeof(said) - 1) >= 0);
        close(ends[0]);
        /* What was refused is no mystery. */
        if (calls[i].call != call_thread
            && (strstr(said, "sandbox: refused system call number ") != NULL)
                   == calls[i].allowed)
            fail_msg("%s: said \"%s\"", calls[i].promise, said);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_role_reaches_what_it_needs_and_no_more, fixture_open,
            fixture_close),
        cmocka_unit_test_setup_teardown(
            test_a_role_makes_the_calls_it_needs_and_no_others, fixture_open,
            fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
