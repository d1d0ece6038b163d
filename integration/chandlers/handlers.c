#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "handlers.h"

// The actions that were there before, by signal.
static struct sigaction previous[65], kept[65];

// A handler that calls the previous one. The values a to e stay in the registers that a
// function must not change: rbx, rbp and r12 to r15 on amd64, x19 to x28 on arm64.
static volatile unsigned long seed[5] = {3, 5, 7, 11, 13};

static void polite(int sig, siginfo_t *info, void *context) {
	int saved = errno;
	unsigned long a = seed[0], b = seed[1], c = seed[2], d = seed[3], e = seed[4];
	if (write(2, "the C handler\n", 14) < 0) _exit(8);
	if (previous[sig].sa_flags & SA_SIGINFO) previous[sig].sa_sigaction(sig, info, context);
	else if (previous[sig].sa_handler != SIG_DFL && previous[sig].sa_handler != SIG_IGN) previous[sig].sa_handler(sig);
	if (a != seed[0] || b != seed[1] || c != seed[2] || d != seed[3] || e != seed[4]) {
		if (write(2, "a register was changed\n", 23)) _exit(9);
	}
	errno = saved;
}

static void ending(int sig) { _exit(7); }

static void set(int sig, struct sigaction *action) {
	action->sa_flags |= SA_ONSTACK | SA_RESTART;
	sigfillset(&action->sa_mask);
	sigaction(sig, action, &previous[sig]);
}

void come(int sig) {
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = polite;
	action.sa_flags = SA_SIGINFO;
	set(sig, &action);
}

void go_away(int sig) { sigaction(sig, &previous[sig], NULL); }

void end_on(int sig) {
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = ending;
	set(sig, &action);
}

// As system(3) does before and after its command.
void keep(int sig) {
	struct sigaction ignore;
	memset(&ignore, 0, sizeof ignore);
	ignore.sa_handler = SIG_IGN;
	sigaction(sig, &ignore, &kept[sig]);
}

void put_back(int sig) { sigaction(sig, &kept[sig], NULL); }

void copy(int from, int to) {
	struct sigaction action;
	sigaction(from, NULL, &action);
	sigaction(to, &action, NULL);
}
