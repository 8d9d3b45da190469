#include "innd/checker.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/thread.h"

enum { THREADS = 1 + CHECKER_SLOW_THREADS };

struct job {
    STAILQ_ENTRY(job) next;
    checker_func *run;
    checker_done_func *done;
    void *work;
};

STAILQ_HEAD(job_list, job);

struct queue {
    struct job_list waiting;
    pthread_cond_t grew;
    size_t count; /* waiting or running */
};

struct thread {
    struct checker *checker;
    struct queue *queue;
    struct accounts *accounts;
    pthread_t id;
};

struct checker {
    struct thread threads[THREADS];
    pthread_mutex_t mutex; /* of all below but fd */
    struct queue queues[CHECKER_QUEUES];
    struct job_list done;
    bool ending;
    int fd; /* an eventfd: readable while there is something done */
    struct event *finished; /* ... that says so to the loop */
};

static struct job *
job_next(struct thread *thread)
{
    struct checker *checker = thread->checker;
    struct queue *queue = thread->queue;
    struct job *job = NULL;

    pthread_mutex_lock(&checker->mutex);
    while (!checker->ending && STAILQ_EMPTY(&queue->waiting))
        pthread_cond_wait(&queue->grew, &checker->mutex);
    if (!checker->ending) {
        job = STAILQ_FIRST(&queue->waiting);
        STAILQ_REMOVE_HEAD(&queue->waiting, next);
    }
    pthread_mutex_unlock(&checker->mutex);
    return job;
}

static void *
thread_run(void *context)
{
    struct thread *thread = context;
    struct checker *checker = thread->checker;
    static const uint64_t one = 1;
    struct job *job;

    while ((job = job_next(thread)) != NULL) {
        job->run(thread->accounts, job->work);
        pthread_mutex_lock(&checker->mutex);
        STAILQ_INSERT_TAIL(&checker->done, job, next);
        thread->queue->count--;
        pthread_mutex_unlock(&checker->mutex);
        if (write(checker->fd, &one, sizeof(one)) < 0)
            die(EXIT_SOFTWARE, "checking thread: eventfd");
    }
    return NULL;
}

/* The first that is done; NULL: none. */
static struct job *
job_take(struct checker *checker)
{
    struct job *job;

    pthread_mutex_lock(&checker->mutex);
    job = STAILQ_FIRST(&checker->done);
    if (job != NULL)
        STAILQ_REMOVE_HEAD(&checker->done, next);
    pthread_mutex_unlock(&checker->mutex);
    return job;
}

static void
on_finished(evutil_socket_t fd, short what, void *context)
{
    struct checker *checker = context;
    struct job *job;
    uint64_t count;

    (void)what;
    /* Before the look: what is done after it makes it readable again. */
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        sysdie(EXIT_SOFTWARE, "checking threads: eventfd");
    while ((job = job_take(checker)) != NULL) {
        job->done(job->work);
        free(job);
    }
}

struct checker *
checker_open(const char *where, const char *directory, struct buffer *why)
{
    struct checker *checker = xcalloc(1, sizeof(*checker));

    STAILQ_INIT(&checker->done);
    for (size_t i = 0; i < CHECKER_QUEUES; i++)
        STAILQ_INIT(&checker->queues[i].waiting);
    for (size_t i = 0; i < THREADS; i++) {
        checker->threads[i].accounts = accounts_open(where, directory, why);
        if (checker->threads[i].accounts != NULL)
            continue;
        while (i-- > 0)
            accounts_close(&checker->threads[i].accounts);
        free(checker);
        return NULL;
    }
    return checker;
}

void
checker_start(struct checker *checker, struct event_base *base)
{
    checker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (checker->fd < 0)
        sysdie(EXIT_SYSTEM, "checking threads: eventfd");
    checker->finished = event_new(base, checker->fd, EV_READ | EV_PERSIST,
                                  on_finished, checker);
    if (checker->finished == NULL)
        die(EXIT_TEMPORARY, "out of memory: event of the checking threads");
    event_add(checker->finished, NULL);
    pthread_mutex_init(&checker->mutex, NULL);
    for (size_t i = 0; i < CHECKER_QUEUES; i++)
        pthread_cond_init(&checker->queues[i].grew, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        struct thread *thread = &checker->threads[i];

        thread->checker = checker;
        thread->queue =
            &checker->queues[i == 0 ? CHECKER_QUICK : CHECKER_SLOW];
        errno = thread_begin(&thread->id, thread_run, thread);
        if (errno != 0)
            sysdie(EXIT_SYSTEM, "checking threads");
    }
}

static void
jobs_free(struct job_list *list)
{
    struct job *job;

    while ((job = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, next);
        free(job);
    }
}

void
checker_free(struct checker **checker)
{
    struct checker *old = *checker;

    if (old == NULL)
        return;
    pthread_mutex_lock(&old->mutex);
    old->ending = true;
    for (size_t i = 0; i < CHECKER_QUEUES; i++)
        pthread_cond_broadcast(&old->queues[i].grew);
    pthread_mutex_unlock(&old->mutex);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(old->threads[i].id, NULL);
        accounts_close(&old->threads[i].accounts);
    }
    for (size_t i = 0; i < CHECKER_QUEUES; i++) {
        jobs_free(&old->queues[i].waiting);
        pthread_cond_destroy(&old->queues[i].grew);
    }
    jobs_free(&old->done);
    pthread_mutex_destroy(&old->mutex);
    event_free(old->finished);
    close(old->fd);
    free(old);
    *checker = NULL;
}

bool
checker_submit(struct checker *checker, enum checker_queue which,
               checker_func *run, checker_done_func *done, void *work)
{
    struct queue *queue = &checker->queues[which];
    struct job *job;
    bool room;

    pthread_mutex_lock(&checker->mutex);
    room = which != CHECKER_SLOW || queue->count < CHECKER_SLOW_MAX;
    if (room) {
        job = xcalloc(1, sizeof(*job));
        job->run = run;
        job->done = done;
        job->work = work;
        queue->count++;
        STAILQ_INSERT_TAIL(&queue->waiting, job, next);
        pthread_cond_signal(&queue->grew);
    }
    pthread_mutex_unlock(&checker->mutex);
    return room;
}
