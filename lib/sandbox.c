#include "lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LINUX_LANDLOCK_H
#include <linux/landlock.h>
#endif

#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox_calls.h"

/* What a process may do below one path. */
enum reach { REACH_NONE, REACH_MOVE, REACH_READ, REACH_MAP, REACH_WRITE };

/* One role: what it may do with the store's directories, and which calls. */
static const struct {
    enum reach spool;
    enum reach overview;
    bool keeps_history;  /* in pathdb, beside what is not its own */
    enum reach accounts; /* the two files of lib/account.h */
    bool holds_keys;     /* no core file may show them */
    bool runs_programs;  /* that have rights of their own: no_new_privs would
                           take them, and Landlock wants that */
    bool asks_overview;  /* over the network, where it is a database */
    unsigned calls;      /* sets of lib/sandbox_calls.h */
} roles[] = {
    [SANDBOX_WRITER] = {.spool = REACH_WRITE,
                        .overview = REACH_WRITE,
                        .keeps_history = true,
                        .asks_overview = true,
                        .calls = CALLS_FILES | CALLS_ACCEPT},
    /*
     * A reader opens the overview mode=ro, but SQLite's readers mark in the
     * file of shared memory (-shm) what they read, and write to it for that;
     * they create and remove nothing.
     */
    [SANDBOX_NNRPD] = {.spool = REACH_READ,
                       .overview = REACH_MAP,
                       .holds_keys = true,
                       .asks_overview = true},
    [SANDBOX_FEEDER] = {.spool = REACH_READ,
                        .overview = REACH_MAP,
                        .holds_keys = true,
                        .asks_overview = true,
                        .calls = CALLS_FILES | CALLS_NETWORK},
    [SANDBOX_AUTH] = {.accounts = REACH_MAP,
                      .holds_keys = true,
                      .calls = CALLS_FILES},
    /* It holds its page in memory. */
    [SANDBOX_BRIDGE] = {.calls = CALLS_ACCEPT},
    [SANDBOX_MODERATION] = {.runs_programs = true},
    /* PAM's modules, and the site's helper. */
    [SANDBOX_OUTSIDE] = {.holds_keys = true, .runs_programs = true},
};

/* What the libraries read: files of time zones, of OpenSSL, of the system. */
static const char *const system_paths[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/random",
    /* Where /etc/resolv.conf points to. */
    "/run/systemd/resolve",
    "/run/resolvconf",
};

#ifdef HAVE_LINUX_LANDLOCK_H
enum {
    RIGHTS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    RIGHTS_CHANGE = LANDLOCK_ACCESS_FS_REMOVE_DIR
                    | LANDLOCK_ACCESS_FS_REMOVE_FILE
                    | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG
                    | LANDLOCK_ACCESS_FS_MAKE_SOCK,
    RIGHTS_HANDLED =
        RIGHTS_READ | RIGHTS_CHANGE | LANDLOCK_ACCESS_FS_WRITE_FILE
        | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR
        | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK
        | LANDLOCK_ACCESS_FS_MAKE_SYM,
};

static uint64_t
reach_rights(enum reach reach)
{
    switch (reach) {
    case REACH_MOVE:
        return LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR;
    case REACH_READ:
        return RIGHTS_READ;
    case REACH_MAP:
        return RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE;
    case REACH_WRITE:
        return RIGHTS_READ | RIGHTS_CHANGE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    case REACH_NONE:
        break;
    }
    return 0;
}

/* A path that is not there needs no right. */
static void
ruleset_allow(int ruleset, const char *path, enum reach reach)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = reach_rights(reach),
    };
    struct stat status;

    if (reach == REACH_NONE)
        return;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0 && (errno == ENOENT || errno == EACCES))
        return;
    if (rule.parent_fd < 0 || fstat(rule.parent_fd, &status) < 0)
        sysdie(EXIT_SYSTEM, "sandbox: %s", path);
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_DIR;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                &rule, 0)
        < 0)
        sysdie(EXIT_SYSTEM, "sandbox: Landlock refuses %s", path);
    close(rule.parent_fd);
}

/* Nothing else of pathdb: not the history, and no file that is not there. */
static void
accounts_allow(int ruleset, const struct config *config, enum reach reach)
{
    static const char *const names[] = {"accounts.sqlite",
                                        "accounts.sqlite-journal"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char *path = xasprintf("%s/%s", config->pathdb, names[i]);

        ruleset_allow(ruleset, path, reach);
        free(path);
    }
}

/*
 * The history and the store's key, and of pathdb so much that a damaged
 * history can be moved aside: the accounts are not the writer's.  The one that
 * is made in its place is out of reach for this process, and the next one
 * opens it.
 */
static void
history_allow(int ruleset, const struct config *config)
{
    char *history = xasprintf("%s/history", config->pathdb);
    char *key = xasprintf("%s/key", config->pathdb);

    ruleset_allow(ruleset, config->pathdb, REACH_MOVE);
    ruleset_allow(ruleset, history, REACH_WRITE);
    ruleset_allow(ruleset, key, REACH_READ);
    free(history);
    free(key);
}

static void
landlock_enter(enum sandbox_role role, const struct config *config)
{
    struct landlock_ruleset_attr attributes = {
        .handled_access_fs = RIGHTS_HANDLED,
    };
    long ruleset = syscall(SYS_landlock_create_ruleset, &attributes,
                           sizeof(attributes), 0);
    char *feeds;

    if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
        warn("this kernel has no Landlock: file system rights are those of "
             "the user alone");
        return;
    }
    if (ruleset < 0)
        sysdie(EXIT_SYSTEM, "sandbox: Landlock");
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(*system_paths); i++)
        ruleset_allow((int)ruleset, system_paths[i], REACH_READ);
    ruleset_allow((int)ruleset, "/dev/null", REACH_MAP);
    ruleset_allow((int)ruleset, config->pathspool, roles[role].spool);
    ruleset_allow((int)ruleset, config->pathoverview, roles[role].overview);
    if (roles[role].keeps_history)
        history_allow((int)ruleset, config);
    accounts_allow((int)ruleset, config, roles[role].accounts);
    /* A feeder keeps how far it is there, and has no other place to write. */
    feeds = xasprintf("%s/feeds", config->pathdb);
    ruleset_allow((int)ruleset, feeds,
                  role == SANDBOX_FEEDER ? REACH_WRITE : REACH_NONE);
    free(feeds);
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        sysdie(EXIT_SYSTEM, "sandbox: Landlock");
    close((int)ruleset);
}
#else
static void
landlock_enter(enum sandbox_role role, const struct config *config)
{
    (void)role;
    (void)config;
    warn("built without Landlock: file system rights are those of the user "
         "alone");
}
#endif

void
sandbox_enter(enum sandbox_role role, const struct config *config)
{
    struct rlimit none = {0, 0};
    unsigned calls = roles[role].calls;

    if (roles[role].holds_keys && setrlimit(RLIMIT_CORE, &none) < 0)
        sysdie(EXIT_SYSTEM, "sandbox: core files");
    if (roles[role].runs_programs)
        return;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        sysdie(EXIT_SYSTEM, "sandbox: no_new_privs");
    landlock_enter(role, config);
    if (roles[role].asks_overview && strcmp(config->overview, "sqlite") != 0)
        calls |= CALLS_NETWORK;
    sandbox_calls_enter(calls);
}
