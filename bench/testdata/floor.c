// This program shows the shortest possible time from kill to the first byte. It
// does everything in its signal handler, and does not set the mode, check
// credentials or publish the socket atomically.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un addr = {.sun_family = AF_UNIX};

static void serve(int sig) {
	(void)sig;
	int ln = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(ln, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(ln, 1) != 0)
		_exit(1);
	int client = accept(ln, NULL, NULL);
	if (write(client, "x", 1) != 1)
		_exit(1);
	unlink(addr.sun_path);
	close(client);
	close(ln);
}

int main(int argc, char **argv) {
	if (argc != 2)
		return 2;
	strncpy(addr.sun_path, argv[1], sizeof addr.sun_path - 1);
	struct sigaction sa = {.sa_handler = serve};
	sigaction(SIGUSR2, &sa, NULL);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
