// Package oneshot gives a production Go process a door for diagnosis that costs
// nothing while it is shut. A signal opens it for a moment: a unix socket stands
// at /tmp/manhole-PID, one client of the same user or root enters, sees what
// every goroutine is doing, works in a command loop and leaves, and nothing
// remains: no listener, port, thread, descriptor or file. It is python-manhole's
// oneshot mode for Go.
//
// Install it once, early in main:
//
//	m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2})
//	if err != nil {
//		return err
//	}
//	defer m.Uninstall()
//
// Then, from a shell of the same user or root:
//
//	kill -USR2 PID; nc -U /tmp/manhole-PID
//
// The first screen names the program, shows its vital signs, says what stands
// out, if anything does, and groups the goroutines by identical stacks: Dump
// writes the last two from inside the program. None of it stops the program for
// more than a moment. At the prompt, help lists the commands, exit leaves. What is typed may
// come from a pipe too: echo stacks | nc -N -U /tmp/manhole-PID. Any client of
// unix sockets will do, socat - UNIX-CONNECT:/tmp/manhole-PID for one.
//
// # Waiting for the signal
//
// A channel of os/signal cannot call a function, so some goroutine has to wait
// for the signal. By default that is the receiver, one parked goroutine that
// Install starts. A program that waits for signals anyway can spare it with
// NoReceiver: main calls Wait where it would have waited for SIGTERM,
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// or the program's own signal loop, notified of Signals too, asks Handle first:
//
//	for sig := range c {
//		if m.Handle(sig) {
//			continue
//		}
//		...
//	}
//
// Oneshot opens the door without any signal, TriggerFile by writing the pid into a
// file, Activate and ActivateOn for one client after another. InstallFromEnv and
// package auto take the options from the environment.
//
// # Windows and sessions
//
// A window is the time during which the socket exists. It is closed by its first
// authorized client, by ConnectTimeout, by SIGTERM, SIGINT or SIGHUP, or by
// Uninstall. A further signal starts the timeout again. Once a client is inside,
// a signal opens another window, so that a forgotten session locks nobody out;
// there are at most 8 sessions at a time.
//
// A session ends with exit, with the end of its input, when the client goes or
// stops reading, or after IdleTimeout. Half-closing the connection is the end of
// input: what was sent is run and answered first. Byte 0x03 stops the running
// command. Lines have at most 64 KiB.
//
// # The console
//
// Console has commands for stacks, memory, settings of the runtime, profiles and
// traces, descriptors, threads, signals and more. Options adds to it: Locals are
// values that the console can show, Commands the program's own commands; LevelCommand
// is one for log/slog, and package eval has one that evaluates expressions over
// Locals. Handler replaces it: by Exec, which has no prompt, or by what the program
// likes.
//
// A client whose socket is bound to a name that begins with oneshot-exec. (its
// last element; any folder, or an abstract name) is a script. It sends one command
// line, and the answer comes in frames: a byte that says what it is (1 for output,
// 2 for the text of an error or warning, 3 for the end), three bytes of zero, the
// length in four bytes, most significant first, and the payload. That of the end
// is the exit status in decimal (an empty frame of output comes first, before the
// command has run): 0, 1 for an error, 2 for no such command, 130 if
// it was interrupted. Binary answers, such as profiles, are sent so only, or
// written to a file with -o.
//
// # Who may enter
//
// The socket has mode 0600 from its first moment, and its path appears in one
// step, already listening. The kernel says who the client is; SameUserOrRoot,
// unless Authorize replaces it, lets in the process's own effective user and
// root. What stands at the path and is not a socket that nobody holds is never
// touched. Opened and closed windows, refusals, sessions and command lines are
// logged through log/slog, without ever waiting for the logger.
//
// # Signals that end the program
//
// SIGTERM, SIGINT and SIGHUP while a window is open remove its socket and then do
// what they would have done: who handles them gets them once, who does not dies
// of them. On Linux on amd64 and arm64 the socket is removed inside the signal
// handler, before the program hears of the signal: Install puts its own in front
// of the runtime's, Uninstall takes it out. Elsewhere see TerminatePolicy.
// A program that ends for any other reason should call Uninstall first, as it
// would close a listener. A file that is left (SIGKILL, os.Exit) is harmless: the
// next window at that path replaces it.
//
// The package works on Linux, darwin and FreeBSD. On other systems it builds, and
// Install returns ErrUnsupported.
package oneshot
