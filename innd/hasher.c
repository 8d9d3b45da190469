#include "innd/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/password.h"

struct check {
    STAILQ_ENTRY(check) next;
    void *context;
    bool known; /* there is a hash */
    bool matches;
    char hash[PASSWORD_HASH_OCTETS];
    size_t octets;
    char password[PASSWORD_OCTETS_MAX];
};

STAILQ_HEAD(check_list, check);

struct hasher {
    pthread_t threads[HASHER_THREADS];
    pthread_mutex_t mutex; /* of all below but fd */
    pthread_cond_t waiting_grew;
    struct check_list waiting;
    struct check_list done;
    size_t count; /* waiting or running */
    bool ending;
    int fd; /* an eventfd: readable while there is something done */
};

static void
check_free(struct check *check)
{
    password_wipe(check, sizeof(*check));
    free(check);
}

static struct check *
check_next(struct hasher *hasher)
{
    struct check *check = NULL;

    pthread_mutex_lock(&hasher->mutex);
    while (!hasher->ending && STAILQ_EMPTY(&hasher->waiting))
        pthread_cond_wait(&hasher->waiting_grew, &hasher->mutex);
    if (!hasher->ending) {
        check = STAILQ_FIRST(&hasher->waiting);
        STAILQ_REMOVE_HEAD(&hasher->waiting, next);
    }
    pthread_mutex_unlock(&hasher->mutex);
    return check;
}

static void *
thread_run(void *context)
{
    struct hasher *hasher = context;
    static const uint64_t one = 1;
    struct check *check;

    while ((check = check_next(hasher)) != NULL) {
        check->matches = password_verify(check->password, check->octets,
                                         check->known ? check->hash : NULL);
        password_wipe(check->password, sizeof(check->password));
        pthread_mutex_lock(&hasher->mutex);
        STAILQ_INSERT_TAIL(&hasher->done, check, next);
        hasher->count--;
        pthread_mutex_unlock(&hasher->mutex);
        if (write(hasher->fd, &one, sizeof(one)) < 0)
            die(EXIT_SOFTWARE, "hashing thread: eventfd");
    }
    return NULL;
}

struct hasher *
hasher_new(void)
{
    struct hasher *hasher = xcalloc(1, sizeof(*hasher));

    STAILQ_INIT(&hasher->waiting);
    STAILQ_INIT(&hasher->done);
    hasher->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hasher->fd < 0)
        sysdie(EXIT_SYSTEM, "hashing threads: eventfd");
    pthread_mutex_init(&hasher->mutex, NULL);
    pthread_cond_init(&hasher->waiting_grew, NULL);
    for (size_t i = 0; i < HASHER_THREADS; i++) {
        errno = pthread_create(&hasher->threads[i], NULL, thread_run, hasher);
        if (errno != 0)
            sysdie(EXIT_SYSTEM, "hashing threads");
    }
    return hasher;
}

static void
checks_free(struct check_list *list)
{
    struct check *check;

    while ((check = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, next);
        check_free(check);
    }
}

void
hasher_free(struct hasher **hasher)
{
    struct hasher *old = *hasher;

    if (old == NULL)
        return;
    pthread_mutex_lock(&old->mutex);
    old->ending = true;
    pthread_cond_broadcast(&old->waiting_grew);
    pthread_mutex_unlock(&old->mutex);
    for (size_t i = 0; i < HASHER_THREADS; i++)
        pthread_join(old->threads[i], NULL);
    checks_free(&old->waiting);
    checks_free(&old->done);
    pthread_cond_destroy(&old->waiting_grew);
    pthread_mutex_destroy(&old->mutex);
    close(old->fd);
    free(old);
    *hasher = NULL;
}

int
hasher_fd(const struct hasher *hasher)
{
    return hasher->fd;
}

bool
hasher_submit(struct hasher *hasher, const char *password, size_t octets,
              const char *hash, void *context)
{
    struct check *check;
    bool room;

    pthread_mutex_lock(&hasher->mutex);
    room = hasher->count < HASHER_QUEUE_MAX && octets <= PASSWORD_OCTETS_MAX;
    if (room) {
        check = xcalloc(1, sizeof(*check));
        check->context = context;
        check->known = hash != NULL;
        if (hash != NULL)
            memcpy(check->hash, hash, strlen(hash) + 1);
        check->octets = octets;
        memcpy(check->password, password, octets);
        hasher->count++;
        STAILQ_INSERT_TAIL(&hasher->waiting, check, next);
        pthread_cond_signal(&hasher->waiting_grew);
    }
    pthread_mutex_unlock(&hasher->mutex);
    return room;
}

bool
hasher_take(struct hasher *hasher, void **context_r, bool *matches_r)
{
    struct check *check;
    uint64_t count;

    /* Before the look: what is done after it makes it readable again. */
    if (read(hasher->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        sysdie(EXIT_SOFTWARE, "hashing threads: eventfd");
    pthread_mutex_lock(&hasher->mutex);
    check = STAILQ_FIRST(&hasher->done);
    if (check != NULL)
        STAILQ_REMOVE_HEAD(&hasher->done, next);
    pthread_mutex_unlock(&hasher->mutex);
    if (check == NULL)
        return false;
    *context_r = check->context;
    *matches_r = check->matches;
    check_free(check);
    return true;
}
