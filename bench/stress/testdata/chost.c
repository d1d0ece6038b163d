// A C program that uses the stress program as a library.
#include <signal.h>
extern void StressProgram(void);

static void nothing(int sig) {}

int main(void) {
	// Where Go is a library, the default action of these signals ends the process
	// before Install and after Uninstall.
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, nothing);
	StressProgram();
	return 1;
}
