/*
 * verify -- are spool, history and overview of one mind?
 *
 * The whole log is read, all sums checked, and what it says is compared with
 * what the history and the overview have.  Nothing is changed.
 *
 * It can be done beside a writer: what does not fit is looked at again, with
 * what the log has become meanwhile, before it is reported.
 */
#ifndef STORAGE_VERIFY_H
#define STORAGE_VERIFY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/history.h"
#include "storage/mend.h"
#include "storage/spool.h"

struct active;
struct buffer;
struct event_base;
struct inventory;
struct overview_reader;

enum verify_kind {
    /* the spool */
    VERIFY_ALIEN_FILE,
    VERIFY_OTHER_VERSION,
    VERIFY_DAMAGED_HEAD,
    VERIFY_DAMAGED,
    VERIFY_CUT_SHORT,
    VERIFY_GAP,
    VERIFY_UNREADABLE,
    VERIFY_MISSING_SEGMENT, /* an index knows articles in it */
    VERIFY_NUMBER_TWICE,    /* two articles have one number of a group */
    /* the history */
    VERIFY_HISTORY_UNUSABLE,
    VERIFY_ENTRY_MISSING,
    VERIFY_ENTRY_WRONG,
    VERIFY_ENTRY_SURPLUS,
    /* the overview */
    VERIFY_OVERVIEW_UNUSABLE,
    VERIFY_LINE_MISSING,
    VERIFY_LINE_WRONG,
    VERIFY_LINE_SURPLUS,
    VERIFY_ARTICLE_MISSING, /* the row that says where an article lies */
    VERIFY_ARTICLE_WRONG,
    VERIFY_ARTICLE_SURPLUS,
    VERIFY_GROUP_WRONG,
    VERIFY_COUNT_WRONG,
    VERIFY_MARKS_WRONG,
    /* an index knows the article, its record is lost */
    VERIFY_RECORD_LOST,
    VERIFY_KINDS
};

struct verify_finding {
    enum verify_kind kind;
    const char *place; /* "segment 00000001 at 4096-70000", "local.test:12" */
    const char *found;
    const char *expected;
    struct mend_step mend; /* what puts it right; MEND_NOTHING: no step does */
};
typedef void verify_report_func(void *context,
                                const struct verify_finding *finding);
/* As history_list(). */
typedef int verify_list_func(void *context, const struct message_hash *from,
                             struct history_entry *entries, size_t count,
                             struct buffer *why);

struct verify {
    /* set by the caller; all is borrowed */
    const char *pathspool;
    struct spool *spool; /* opened for reading; its faults are the caller's:
                            verify_spool_fault() makes findings of them */
    const struct active *active;      /* groups and marks to be checked */
    struct overview_reader *overview; /* NULL: not compared */
    struct event_base *base;          /* of the reader */
    verify_list_func *list;           /* NULL: no history is compared */
    void *list_context;
    /* How far the indices are at least when this begins. */
    uint64_t history_applied, overview_applied;
    bool online;                           /* a writer goes on meanwhile */
    bool quiet;                            /* no progress is shown */
    const volatile sig_atomic_t *stopping; /* set: end as soon as possible */
    verify_report_func *report;
    void *context;
    /* results */
    uint64_t articles, entries, lines; /* compared */
    uint64_t unknown;                  /* records of types not known here */
};

/* What is called what in a table: "line missing". */
const char *verify_kind_name(enum verify_kind kind);
/* Make a finding of what spool_open_reading() and spool_walk() tell. */
void verify_spool_fault(const struct spool_fault *fault,
                        verify_report_func *report, void *context);
/* Compare.  0, findings or none; -1 with why when it could not be done to the
   end ("interrupted" among the reasons). */
int verify_run(struct verify *verify, struct buffer *why);

#endif
