#include "innd/admin_master.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "innd/client.h"
#include "innd/feed.h"
#include "innd/master.h"
#include "lib/admin.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/shared.h"
#include "storage/active.h"

enum { REPORT_SECONDS_MAX = 86400 };

/* --- what the server is doing --- */

static const char *const mode_names[] = {
    [MODE_RUNNING] = "running",
    [MODE_PAUSED] = "paused",
    [MODE_THROTTLED] = "throttled",
};

static const char *const state_names[] = {
    [PROCESS_AWAY] = "away",
    [PROCESS_STARTING] = "starting",
    [PROCESS_READY] = "ready",
    [PROCESS_DRAINING] = "ending",
};

static void
mode_print(const struct master *master, struct buffer *text)
{
    char reason[SHARED_REASON_OCTETS];
    enum server_mode mode = shared_mode(master->shared, reason);

    buffer_append_text(text, mode_names[mode]);
    if (mode != MODE_RUNNING && reason[0] != '\0')
        buffer_append_format(text, " %s", reason);
}

static int64_t
uptime_seconds(const struct master *master)
{
    return (int64_t)time(NULL) - atomic_load(&master->shared->started);
}

static uint64_t
slot_counter(const struct master *master, const struct process *process,
             enum counter counter)
{
    return atomic_load(
        &master->shared->slots[process->slot].counters[counter]);
}

static void
process_print(const struct master *master, const struct process *process,
              struct buffer *text)
{
    buffer_append_format(text, "%s pid=%d state=%s starts=%" PRIu64,
                         process_name(process), (int)process->pid,
                         state_names[process->state], process->starts);
    if (process->role == ROLE_NNRPD)
        buffer_append_format(text, " clients=%u", process->clients);
    if (process->role == ROLE_FEEDER)
        for (enum feed_counter i = 0; i < FEED_COUNTER_COUNT; i++)
            buffer_append_format(
                text, " %s=%" PRIu64, feed_counter_name(i),
                atomic_load(&master->shared->slots[process->slot].feed[i]));
    for (enum counter i = COUNTER_CLIENTS_SERVED;
         (process->role == ROLE_NNRPD || process->role == ROLE_WRITER)
         && i < COUNTER_COUNT;
         i++) {
        bool writers = i >= COUNTER_STORED;

        if (writers == (process->role == ROLE_WRITER))
            buffer_append_format(text, " %s=%" PRIu64, counter_name(i),
                                 slot_counter(master, process, i));
    }
    buffer_append_char(text, '\n');
}

static void
groups_print(const struct master *master, struct buffer *text)
{
    uint32_t ids = active_count(master->active);
    uint32_t groups = 0;
    uint64_t numbers = 0;

    for (uint32_t id = 1; id <= ids; id++) {
        if (active_flag(master->active, id) == 0)
            continue;
        groups++;
        numbers += active_marks(master->active, id).count;
    }
    /* A crossposted article has a number in each of its groups. */
    buffer_append_format(text,
                         "groups=%" PRIu32 " articles_in_groups=%" PRIu64
                         " last_sequence=%" PRIu64,
                         groups, numbers, active_committed(master->active));
}

static void
sums_print(const struct master *master, struct buffer *text)
{
    buffer_append_format(text, "clients=%zu", clients_count(master->clients));
    for (enum counter i = COUNTER_CLIENTS_SERVED; i < COUNTER_COUNT; i++)
        buffer_append_format(text, " %s=%" PRIu64, counter_name(i),
                             shared_sum(master->shared, i));
}

static void
moderation_print(const struct master *master, struct buffer *text)
{
    const struct shared_moderation *queue = &master->shared->moderation;
    int64_t oldest = atomic_load(&queue->oldest);
    char error[SHARED_REASON_OCTETS];

    buffer_append_format(
        text,
        "moderated posts waiting=%" PRIu64 " oldest_seconds=%" PRId64
        " failed=%" PRIu64 " mailed=%" PRIu64,
        atomic_load(&queue->waiting),
        oldest == 0 ? 0 : (int64_t)time(NULL) - oldest,
        atomic_load(&queue->failed), atomic_load(&queue->mailed));
    shared_text_get(&queue->error, error);
    if (error[0] != '\0')
        buffer_append_format(text, " error=%s", error);
    buffer_append_char(text, '\n');
}

void
admin_print_status(const struct master *master, struct buffer *text)
{
    const struct process_table *table = &master->processes;

    buffer_append_format(text,
                         "innd %s pid=%d uptime_seconds=%" PRId64
                         " generation=%" PRIu64 "\nmode ",
                         PACKAGE_VERSION, (int)getpid(),
                         uptime_seconds(master), master->config->generation);
    mode_print(master, text);
    if (atomic_load(&master->shared->store_full) != 0)
        buffer_append_text(text, "\nstore full: new articles are refused");
    buffer_append_char(text, '\n');
    for (size_t i = 0; i < table->count; i++)
        if (!process_is_optional(&table->rows[i])
            || table->rows[i].peer != NULL || table->rows[i].starts > 0)
            process_print(master, &table->rows[i], text);
    if (process_moderation(table)->starts > 0)
        moderation_print(master, text);
    groups_print(master, text);
    buffer_append_char(text, '\n');
    sums_print(master, text);
}

void
admin_print_report(const struct master *master, struct buffer *text)
{
    buffer_append_format(text, "status uptime_seconds=%" PRId64 " ",
                         uptime_seconds(master));
    groups_print(master, text);
    buffer_append_char(text, ' ');
    sums_print(master, text);
}

/* --- the words --- */

typedef unsigned word_func(struct master *master, int words,
                           const char *const *word, struct buffer *answer);

static unsigned
answer_ok(struct buffer *answer)
{
    buffer_append_text(answer, "Ok");
    return 0;
}

static unsigned
answer_refusal(struct buffer *answer, const char *text)
{
    buffer_append_text(answer, text);
    return 1;
}

static unsigned
word_begin(struct master *master, int words, const char *const *word,
           struct buffer *answer)
{
    (void)words;
    return feed_begin(master, word[1], answer);
}

static unsigned
word_drop(struct master *master, int words, const char *const *word,
          struct buffer *answer)
{
    (void)words;
    return feed_drop(master, word[1], answer);
}

static unsigned
word_feedinfo(struct master *master, int words, const char *const *word,
              struct buffer *answer)
{
    return feeds_print(
        master, words > 1 && word[1][0] != '\0' ? word[1] : NULL, answer);
}

static unsigned
word_help(struct master *master, int words, const char *const *word,
          struct buffer *answer)
{
    const struct admin_word *what;

    (void)master;
    if (words == 1) {
        admin_help(answer);
        return 0;
    }
    what = admin_find(word[1]);
    if (what == NULL)
        return answer_refusal(answer, "No such command; try ctlinnd help");
    admin_usage(what, answer);
    buffer_append_format(answer, "\n%s", what->help);
    return 0;
}

static unsigned
word_mode(struct master *master, int words, const char *const *word,
          struct buffer *answer)
{
    const struct process_table *table = &master->processes;
    const struct config *config = master->config;
    size_t ready = 0;

    (void)words;
    (void)word;
    for (size_t i = 1; i <= table->workers; i++)
        ready += table->rows[i].state == PROCESS_READY;
    buffer_append_text(answer, "Server ");
    mode_print(master, answer);
    buffer_append_format(
        answer,
        "\n%s remote connections\n"
        "Parameters artcutoff %" PRId64 " maxartsize %" PRId64
        " maxconnections %" PRId64 " clienttimeout %" PRId64 "\n"
        "Clients %zu\nWorkers %zu of %zu ready\nWriter %s",
        master->accepting ? "Allowing" : "Not allowing", config->artcutoff,
        config->maxartsize, config->maxconnections, config->clienttimeout,
        clients_count(master->clients), ready, table->workers,
        state_names[process_writer(table)->state]);
    return 0;
}

/*
 * INN's rule: a pause or throttle is undone by who knows its reason, or says
 * none.
 */
static unsigned
word_go(struct master *master, int words, const char *const *word,
        struct buffer *answer)
{
    char reason[SHARED_REASON_OCTETS];
    enum server_mode mode = shared_mode(master->shared, reason);

    (void)words;
    if (mode == MODE_RUNNING)
        return answer_refusal(answer, "Already running");
    if (word[1][0] != '\0' && strcmp(word[1], reason) != 0) {
        buffer_append_format(answer, "The reason is \"%s\", not \"%s\"",
                             reason, word[1]);
        return 1;
    }
    shared_set_mode(master->shared, MODE_RUNNING, "");
    notice("running again, was %s reason=%s", mode_names[mode], reason);
    return answer_ok(answer);
}

static unsigned
mode_change(struct master *master, enum server_mode wanted, const char *reason,
            struct buffer *answer)
{
    char old[SHARED_REASON_OCTETS];
    enum server_mode mode = shared_mode(master->shared, old);

    /* A throttled server may not be let off with a pause. */
    if (mode >= wanted) {
        buffer_append_format(answer, "Already %s %s", mode_names[mode], old);
        return 1;
    }
    shared_set_mode(master->shared, wanted, reason);
    notice("%s reason=%s", mode_names[wanted], reason);
    return answer_ok(answer);
}

static unsigned
word_pause(struct master *master, int words, const char *const *word,
           struct buffer *answer)
{
    (void)words;
    return mode_change(master, MODE_PAUSED, word[1], answer);
}

static unsigned
word_throttle(struct master *master, int words, const char *const *word,
              struct buffer *answer)
{
    (void)words;
    return mode_change(master, MODE_THROTTLED, word[1], answer);
}

/* What INN keeps in files of their own stands in renews.conf. */
static unsigned
word_reload(struct master *master, int words, const char *const *word,
            struct buffer *answer)
{
    static const char *const whole[] = {
        "", "all", "renews.conf", "inn.conf", "incoming.conf", "readers.conf"};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        if (words == 1 || strcmp(word[1], whole[i]) == 0)
            return master_reload(master, answer) < 0 ? 1 : 0;
    buffer_append_format(answer, "There is no %s to reload; say \"all\"",
                         word[1]);
    return 1;
}

/* Scripts for INN expect no answer but an exit status. */
static unsigned
word_shutdown(struct master *master, int words, const char *const *word,
              struct buffer *answer)
{
    (void)words;
    (void)answer;
    master_stop(master, word[1]);
    return 0;
}

static unsigned
word_status(struct master *master, int words, const char *const *word,
            struct buffer *answer)
{
    char *end;
    unsigned long seconds;

    if (words == 1) {
        admin_print_status(master, answer);
        return 0;
    }
    seconds = strtoul(word[1], &end, 10);
    if (strcmp(word[1], "off") == 0)
        seconds = 0;
    else if (*end != '\0' || end == word[1] || word[1][0] == '-'
             || seconds > REPORT_SECONDS_MAX)
        return answer_refusal(answer,
                              "Expected seconds (to 86400) or \"off\"");
    master_report_every(master, (unsigned)seconds);
    return answer_ok(answer);
}

static const struct {
    const char *name;
    word_func *func;
} words_of_master[] = {
    {"begin", word_begin},       {"drop", word_drop},
    {"feedinfo", word_feedinfo}, {"go", word_go},
    {"help", word_help},         {"mode", word_mode},
    {"pause", word_pause},       {"reload", word_reload},
    {"shutdown", word_shutdown}, {"status", word_status},
    {"throttle", word_throttle},
};

unsigned
admin_master(void *context, const struct admin_word *what, int words,
             const char *const *word, struct buffer *answer)
{
    for (size_t i = 0; i < sizeof(words_of_master) / sizeof(*words_of_master);
         i++)
        if (strcmp(words_of_master[i].name, what->name) == 0)
            return words_of_master[i].func(context, words, word, answer);
    assert(!"lib/admin.c names a word of the master's that is not here");
    return EXIT_SOFTWARE;
}
