/* A program in C that uses the library in Go beside it. See ../main.go. */
#include <stdio.h>
#include <unistd.h>

void CounterStart(void);
long CounterValue(void);

int main(void)
{
	CounterStart();
	printf("the library is ready in pid %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		sleep(60);
		printf("counted to %ld\n", CounterValue());
		fflush(stdout);
	}
}
