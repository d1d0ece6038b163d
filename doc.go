// Package oneshot gives a production Go process a door for diagnosis. While the
// door is closed, it has no listener, port, thread, descriptor or file. A signal
// opens it for a moment: a unix socket appears at /tmp/manhole-PID. One client of
// the same user, or of root, connects, sees what every goroutine is doing, works
// in a command loop, and leaves. Nothing stays behind. It is the oneshot mode of
// python-manhole for Go.
//
// Call Install once, early in main:
//
//	import (
//		"log/slog"
//		"syscall"
//
//		"github.com/gomanhole/oneshot"
//	)
//
//	func main() {
//		m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2})
//		if err != nil {
//			slog.Error("no manhole", "err", err) // and go on without one
//		}
//		defer m.Uninstall()
//		...
//	}
//
// If Install fails, log the error and go on. A diagnostic door must not stop a
// service. After an error m is nil and nothing is installed. The methods of a nil
// *Manhole may be called; they behave as if nobody ever opened it.
//
// Then open the door from a shell of the same user or of root, and connect:
//
//	kill -USR2 PID; for i in 1 2 3 4 5; do nc -U /tmp/manhole-PID && break; sleep .1; done
//
// The first screen names the program and shows its vital signs. It says what
// stands out, if anything does, and groups the goroutines by identical stacks.
// None of this stops the program for more than a moment. Dump writes the last two
// parts from inside the program.
//
// Then comes the prompt. The command help lists the commands, and exit ends the
// session:
//
//	>>> gc
//	collected in 410µs; freed 41.5 KiB; heap in use 208 KiB
//	>>> exit
//
// Input may also come from a pipe: echo stacks | nc -N -U /tmp/manhole-PID. Any
// client for unix sockets works, for example socat - UNIX-CONNECT:/tmp/manhole-PID.
// The first nc may print "No such file or directory" on a busy machine, where it can
// be faster than the process.
//
// # Waiting for the signal
//
// A channel of os/signal cannot call a function, so a goroutine must wait for the
// signal. By default this is the receiver, one parked goroutine that Install
// starts. A program that already waits for signals does not need the receiver and
// can set NoReceiver. There are two ways. Main calls Wait where it would have
// waited for SIGTERM:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// Or the program's own signal loop also subscribes to Signals, and asks Handle
// first:
//
//	for sig := range c {
//		if m.Handle(sig) {
//			continue // it was the manhole's signal
//		}
//		...
//	}
//
// There are other ways to open the door. Oneshot opens it without a signal. With
// TriggerFile, writing the pid into a file opens it. Activate and ActivateOn open
// it for one client after another. InstallFromEnv and package auto take the
// options from the environment.
//
// # Windows and sessions
//
// A window is the time during which the socket exists. These close it: its first
// authorized client, ConnectTimeout, SIGTERM, SIGINT, SIGHUP, and Uninstall.
// Another signal during the window starts the timeout again. A signal during a
// session opens another window, so a forgotten session locks nobody out. There are
// at most 8 sessions at a time.
//
// A session ends with the command exit or with the end of its input. It also ends
// when the client leaves or stops reading, or after IdleTimeout. Half-closing the
// connection is the end of input: the session first runs everything that was
// sent, and answers it. Byte 0x03 stops the running command. Lines have at most
// 64 KiB.
//
// # The console
//
// Console has commands for stacks, memory, settings of the runtime, profiles and
// traces, descriptors, threads, signals and more. Options adds to it. Locals are
// values that the console can show: give each as a func() any that locks and
// copies. Of other values only the numbers are shown, because to read more while
// the program writes can end it. Commands are the program's own commands.
// LevelCommand makes one that sets a log/slog level, and package eval has one that
// evaluates expressions over Locals. Handler replaces the console, for example by
// Exec, which has no prompt.
//
// A script can send one command and read its output byte for byte, and its exit
// status. The client cmd/oneshot does this. The repository's docs/protocol.md
// describes the format. Binary output, such as profiles, is sent only in this way,
// or is written to a file with -o.
//
// # Who may enter
//
// The socket has mode 0600 from its first moment. It appears at its path in one
// step, already listening. The kernel reports who the client is. SameUserOrRoot
// lets in the process's own effective user and root; Authorize replaces it. A dead
// socket at the path is replaced. Anything else there is never touched. Open and
// closed windows, refusals, sessions and command lines are logged with log/slog.
// The package never waits for the logger.
//
// # Signals that end the program
//
// SIGTERM, SIGINT and SIGHUP remove the socket of an open window. Then they have
// the same effect as without a manhole: a program that handles the signal gets it
// once, and a program that does not handle it dies of it. On Linux on amd64 and
// arm64 the socket is removed inside the signal handler, before the program gets
// the signal. Install puts its own handler in front of the runtime's, and Uninstall
// removes it. For other systems see TerminatePolicy.
//
// A program that ends for any other reason should call Uninstall first, as it would
// close a listener. A file that stays behind (SIGKILL, os.Exit) is harmless: the
// next window at that path replaces it.
//
// The package works on Linux, darwin and FreeBSD. On other systems it builds, and
// Install returns ErrUnsupported.
package oneshot
