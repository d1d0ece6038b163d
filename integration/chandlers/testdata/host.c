// A C program that uses Go as a library.
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern void TakeStep(char *);

int main(int argc, char **argv) {
	char line[200];
	for (int i = 1; i < argc; i++) TakeStep(argv[i]);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		TakeStep(line);
		fprintf(stderr, "taken: %s\n", line);
	}
	for (;;) pause();
}
