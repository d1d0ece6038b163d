// Signal handlers of C code that come and go. Each of SIGTERM, SIGINT and SIGHUP gets a
// handler that calls the one before it. After a random time, the one before it is put back.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// record is what a handler of ours has replaced. A record never changes once it is
// published, and it is never freed, since a handler that still runs may read it.
struct record { struct sigaction found; };

static _Atomic(struct record *) records[65]; // by signal

// arrived is set by the first signal. From then on no handler comes or goes, since Go ends
// the process with the help of sigaction.
static atomic_int arrived;

// die has the default action of the signal, as a handler does whose predecessor is SIG_DFL.
// The thread that sets handlers may run at the same time, so one attempt may be in vain.
static void die(int sig) {
	struct sigaction action;
	sigset_t set;
	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	sigemptyset(&set);
	sigaddset(&set, sig);
	for (;;) {
		sigaction(sig, &action, NULL);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		raise(sig);
	}
}

static void handler(int sig, siginfo_t *info, void *context) {
	int saved = errno;
	atomic_store(&arrived, 1);
	struct sigaction *found = &atomic_load(&records[sig])->found;
	// When Go lets a signal end the process, it sets SIG_DFL together with SA_SIGINFO.
	if (found->sa_handler == SIG_DFL) die(sig);
	else if (found->sa_handler == SIG_IGN) {}
	else if (found->sa_flags & SA_SIGINFO) found->sa_sigaction(sig, info, context);
	else found->sa_handler(sig);
	errno = saved;
}

static int is_ours(const struct sigaction *action) {
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == handler;
}

static struct record *publish(int sig, const struct sigaction *found) {
	struct record *r = malloc(sizeof *r);
	if (!r) abort();
	r->found = *found;
	atomic_store(&records[sig], r);
	return r;
}

// come installs the handler. The record is published before. If somebody has changed the
// action in between, a second record has what was replaced in fact.
static void come(int sig) {
	struct sigaction action, found, replaced;
	sigaction(sig, NULL, &found);
	if (is_ours(&found)) return;
	publish(sig, &found);
	memset(&action, 0, sizeof action);
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART; // SA_ONSTACK: see os/signal, "Go programs that use cgo or SWIG"
	sigfillset(&action.sa_mask);
	sigaction(sig, &action, &replaced);
	if (!is_ours(&replaced) && (replaced.sa_sigaction != found.sa_sigaction || replaced.sa_flags != found.sa_flags)) publish(sig, &replaced);
}

// go_away puts back what was there before, unless somebody else has replaced our handler.
static void go_away(int sig) {
	struct sigaction now;
	sigaction(sig, NULL, &now);
	if (is_ours(&now)) sigaction(sig, &atomic_load(&records[sig])->found, NULL);
}

static void pause_for(unsigned *seed, long most) {
	struct timespec t = {0, (long)(rand_r(seed) % most) + 1};
	nanosleep(&t, NULL);
}

static unsigned handlers_seed;

static void *come_and_go(void *unused) {
	static const int sigs[] = {SIGTERM, SIGINT, SIGHUP};
	unsigned seed = handlers_seed;
	(void)unused;
	while (!atomic_load(&arrived)) {
		long most = rand_r(&seed) % 2 ? 300000 : 5000000; // nanoseconds
		int all = rand_r(&seed) % 2, one = rand_r(&seed) % 3;
		for (int i = 0; i < 3; i++) if (all || i == one) come(sigs[i]);
		pause_for(&seed, most);
		if (atomic_load(&arrived)) break;
		for (int i = 0; i < 3; i++) if (all || i == one) go_away(sigs[i]);
		pause_for(&seed, most);
	}
	return NULL;
}

// start_handlers starts the thread. It blocks all signals but the three. A thread of C code
// treats those that nobody is subscribed to in another way than Go threads do: SIGQUIT ends
// the process without stacks, and SIGUSR2 ends it instead of doing nothing (raisebadsignal in
// the runtime's signal_unix.go).
static int start_handlers(unsigned seed) {
	pthread_t thread;
	sigset_t set, before;
	int err;
	handlers_seed = seed;
	sigfillset(&set);
	sigdelset(&set, SIGTERM);
	sigdelset(&set, SIGINT);
	sigdelset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	err = pthread_create(&thread, NULL, come_and_go, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}
