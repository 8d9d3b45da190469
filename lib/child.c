#include "lib/child.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/shared.h"

static bool
number_parse(const char *text, unsigned *number_r)
{
    char *end;
    unsigned long number;

    if (!isdigit((unsigned char)text[0]) || strlen(text) > 6)
        return false;
    number = strtoul(text, &end, 10);
    *number_r = (unsigned)number;
    return *end == '\0';
}

int
child_arguments_parse(struct child_arguments *arguments, int argc, char **argv)
{
    static const char role[] = "--role=";
    static const char slot[] = "--slot=";
    static const char worker[] = "--worker=";
    static const char peer[] = "--peer=";
    static const char since[] = "--since=";
    bool has_slot = false;
    bool has_worker = false;

    memset(arguments, 0, sizeof(*arguments));
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if (strncmp(word, role, sizeof(role) - 1) == 0)
            arguments->role = word + sizeof(role) - 1;
        else if (strncmp(word, slot, sizeof(slot) - 1) == 0)
            has_slot = number_parse(word + sizeof(slot) - 1, &arguments->slot);
        else if (strncmp(word, worker, sizeof(worker) - 1) == 0)
            has_worker =
                number_parse(word + sizeof(worker) - 1, &arguments->worker);
        else if (strncmp(word, peer, sizeof(peer) - 1) == 0)
            arguments->peer = word + sizeof(peer) - 1;
        else if (strncmp(word, since, sizeof(since) - 1) == 0)
            arguments->since = strtoull(word + sizeof(since) - 1, NULL, 10);
        else
            return -1;
    }
    if (!has_slot || !has_worker || arguments->slot >= SHARED_SLOTS)
        return -1;
    return 0;
}

/* The octets of argv and of the environment behind it, which lie in one run;
   whatever is not part of the run is left alone. */
static char *
title_end(int argc, char **argv)
{
    char *end = argv[0];

    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end = argv[i] + strlen(argv[i]) + 1;
    for (char **name = environ; name != NULL && *name != NULL; name++)
        if (*name == end)
            end = *name + strlen(*name) + 1;
    return end;
}

struct config *
child_config_inherit(void)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_from_memfd(CHILD_CONFIG_FD, &why);

    if (config == NULL)
        die(EXIT_SOFTWARE, "configuration: %s", buffer_text(&why));
    log_set_level((enum log_level)config->log_level);
    buffer_free(&why);
    return config;
}

bool
child_config_renew(struct config **config, int descriptor)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *new = config_from_memfd(descriptor, &why);

    if (new == NULL) {
        warn("a new configuration cannot be read: %s", buffer_text(&why));
        buffer_free(&why);
        return false;
    }
    config_free(config);
    *config = new;
    log_set_level((enum log_level) new->log_level);
    return true;
}

void
child_set_title(int argc, char **argv, const char *title)
{
    char *start = argv[0];
    char *end = title_end(argc, argv);
    size_t room = (size_t)(end - start);
    const char *name = strrchr(title, ':');

    /*
     * ps shows the octets that argv had; the words and the environment move
     * elsewhere first, for what is passed on must stay readable.
     */
    for (int i = 0; i < argc; i++)
        argv[i] = xstrdup(argv[i]);
    for (char **variable = environ; variable != NULL && *variable != NULL;
         variable++)
        if (*variable >= start && *variable < end)
            *variable = xstrdup(*variable);
    memset(start, 0, room);
    snprintf(start, room, "%s", title);
    /* What top and /proc/PID/comm show has 15 octets: the last word's. */
    if (name != NULL)
        name += strspn(name, ": ");
    (void)prctl(PR_SET_NAME, name != NULL ? name : title); /* cosmetic */
}
