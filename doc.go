// Package oneshot gives a production Go process a door for diagnosis. While the
// door is closed, it has no listener, port, thread, descriptor or file. A signal
// opens it for a moment: a unix socket appears at /tmp/manhole-PID. One client of
// the same user, or of root, connects, sees what every goroutine is doing and what
// stands out, works in a command loop, and leaves. Nothing stays behind.
//
// Call Install once, first in main:
//
//	m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2})
//	if err != nil {
//		slog.Error("no manhole", "err", err) // and go on without one
//	}
//	defer m.Uninstall()
//
// If Install fails, log the error and go on. A diagnostic door must not stop a
// service. After an error m is nil, and the methods of a nil *Manhole may be called.
//
// Then open the door from a shell of the same user or of root, and connect:
//
//	kill -USR2 PID; for i in 1 2 3 4 5; do nc -U /tmp/manhole-PID && break; sleep .1; done
//
// On a busy machine the first nc can be faster than the process. So the line tries
// again. Check the pid: SIGUSR2 ends a program that does not handle it, unless it is
// a Go program. Where there is no /tmp, or it is read-only, the socket is at
// /dev/shm/manhole-PID or @manhole-PID; the log has the path.
//
// The first screen has 24 lines of 80 columns: the program and its vital signs, what
// stands out, and the largest groups of goroutines with identical stacks. Then
// comes the prompt. The command help lists the commands, and exit ends the session:
//
//	>>> gc
//	collected in 410µs; freed 41.5 KiB; heap in use 208 KiB
//	>>> exit
//
// # Waiting for the signal
//
// A channel of os/signal cannot call a function, so a goroutine must wait for the
// signal. By default this is the receiver, one parked goroutine that Install starts.
// A program that waits for signals anyway sets NoReceiver. Then main calls Wait:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// Or the program's own signal loop also subscribes to Signals, and asks Handle first:
//
//	if m.Handle(sig) {
//		continue // it was the manhole's signal
//	}
//
// A shutdown can be inspected too, after Wait has returned or Handle got SIGTERM.
// With ShutdownReport, one that hangs writes a report by itself. ReportOn is a signal
// that writes the first screen to the log, where nobody can connect.
//
// There are other ways in. Oneshot opens the door without a signal, TriggerFile when
// the pid is written into a file, and Activate and ActivateOn for one client after
// another. InstallFromEnv and package auto take the options from the environment.
// Dump and RunCommand need no door. Package oneshothttp is for an admin server.
//
// # Windows and sessions
//
// A window is the time during which the socket exists. Its first authorized client
// closes it, and so do ConnectTimeout, SIGTERM, SIGINT, SIGHUP and Uninstall. A signal
// during a session opens another window, so a forgotten session locks nobody out.
// There are at most 8 sessions at a time.
//
// A session ends with the command exit or with the end of its input, after all that
// was sent is answered. It also ends when the client leaves or stops reading, or
// after IdleTimeout. Byte 0x03 stops the running command.
//
// Options adds to the console. Locals are values that it can show: give each as a
// func() any that locks and copies. Commands are the program's own commands;
// LevelCommand sets a log level, and package eval evaluates expressions over Locals.
// Handler replaces the console, for example by Exec, which has no prompt.
//
// # Who may enter
//
// The socket has mode 0600 from its first moment. The kernel reports who the client
// is. SameUserOrRoot lets in the process's own effective user and root, and only root
// if the process may do more than its user, as with file capabilities. Authorize
// replaces it. ONESHOT=off in the environment forbids the manhole. Only the process's
// own socket, or a dead one, is ever replaced or removed. Everything that happens at
// the door is logged with log/slog. The package never waits for the logger.
//
// # Signals that end the program
//
// SIGTERM, SIGINT and SIGHUP remove the socket of an open window. Then they have the
// same effect as without a manhole; see TerminatePolicy. A program that ends for any
// other reason should call Uninstall first. A socket that stays behind (SIGKILL,
// os.Exit) is harmless: the next window at that path replaces it.
//
// The package works on Linux, darwin and FreeBSD. On other systems it builds, and
// Install returns ErrUnsupported. The pages in the repository's docs folder have the
// commands, the findings, deployments, and what to do if it does not work.
package oneshot
