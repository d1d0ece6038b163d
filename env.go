package oneshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/gomanhole/oneshot/internal/access"
	"github.com/gomanhole/oneshot/internal/pyvalue"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

const (
	envName = "ONESHOT"
	envOff  = "off" // forbids the manhole
)

// InstallFromEnv calls Install with the options in the environment variable
// ONESHOT, so that the person who starts the program decides. If the variable is
// not set, it does nothing and returns nil and no error; the methods of a nil
// *Manhole may be called. An empty variable means zero Options. ONESHOT=off forbids
// the manhole, also that of Install. Otherwise the variable is a list of name=value separated by commas, at most 64
// KiB long. The strings of manhole's PYTHONMANHOLE work as well:
//
//	ONESHOT='oneshot_on="USR2", reinstall_delay=0.5, verbose=False' ./server
//
//	oneshot_on, activate_on           a signal, as ParseSignal reads it; None: none
//	report_on                         a signal that writes a report, see Options.ReportOn
//	report_after, shutdown_report     30s, or a number of seconds
//	report_dir                        the directory of the reports; None: the log
//	report_stderr                     a bool; reports go to standard error
//	trigger_file, socket_path         a path; None: the default
//	connect_timeout, idle_timeout     30s, or a number of seconds
//	reinstall_delay                   the same; 0 is no delay
//	reinstall                         a bool
//	strict                            a bool, the opposite of reinstall
//	sigmask                           what ParseSignalSet reads ("USR1,TERM", 0x4000), a list
//	                                  (["USR1", 15]), all, or None for no signal
//	terminate                         auto, reraise or leave
//	redirect_stderr                   a bool
//	connection_handler                repl, which is Console, or exec
//	verbose                           a bool; False turns the log off
//
// Without oneshot_on, activate_on and trigger_file, OneshotOn is SIGUSR2. A bool is
// True or False, a word that strconv.ParseBool accepts, or yes, no, on or off. Quotes
// work as in Python, with Python's escapes, and r"" without escapes. A value
// without spaces, commas and brackets needs no quotes. manhole's other options
// (patch_fork, thread, locals, ...) are accepted only with manhole's default value.
// All other fields of Options, for example NoReceiver, can only be set by the
// program.
//
// An error names the option, says what is wrong and what to write instead. Use
// errors.Is to distinguish the errors of Install. A program that runs with more rights
// than its caller (set-user-ID, set-group-ID, file capabilities; AT_SECURE in
// getauxval(3)) does not use the variable, because its caller could then make it
// create files: InstallFromEnv returns an error.
func InstallFromEnv() (*Manhole, error) {
	text, ok := os.LookupEnv(envName)
	switch {
	case !ok:
		return nil, nil
	case forbidden():
		return Install(Options{}) // which says so
	case !unixsock.Supported:
		return nil, ErrUnsupported
	case access.Secure():
		return nil, errors.New("oneshot: " + envName + " is not heeded in a program that has more rights than its caller (set-user-ID, set-group-ID, file capabilities); call Install there")
	}
	o, err := parseEnv(text)
	if err != nil {
		return nil, err
	}
	m, err := Install(o)
	if err != nil {
		return nil, &envError{"", err}
	}
	return m, nil
}

// forbidden reports whether the person who started the program forbids the manhole.
func forbidden() bool {
	return strings.EqualFold(strings.TrimSpace(os.Getenv(envName)), envOff)
}

// envError is an error in the variable, or an error of Install with the options
// from it. Its text has the prefix "oneshot: " only once.
type envError struct {
	option string // empty: the error is not about one option
	cause  error
}

func (e *envError) Error() string {
	text := "oneshot: " + envName + ": "
	if e.option != "" {
		quoted := fmt.Sprintf("%.40q", e.option) // the user may have typed anything
		text += quoted[1:len(quoted)-1] + ": "
	}
	return text + strings.TrimPrefix(e.cause.Error(), "oneshot: ")
}

func (e *envError) Unwrap() error { return e.cause }

// option is an entry of envOptions.
func option(name, example string, set func(*Options, pyvalue.Value) error) pyvalue.Option[Options] {
	return pyvalue.Option[Options]{Name: name, Example: example, Set: set}
}

// envOptions returns the options that the variable can set. They are no variable, which
// would be made, with all its functions, in programs that do not use it.
func envOptions() []pyvalue.Option[Options] {
	return []pyvalue.Option[Options]{
		option("oneshot_on", `"USR2"`, func(o *Options, v pyvalue.Value) (err error) { o.OneshotOn, err = v.Signal(); return }),
		option("activate_on", `"USR1"`, func(o *Options, v pyvalue.Value) (err error) { o.ActivateOn, err = v.Signal(); return }),
		option("report_on", `"USR1"`, func(o *Options, v pyvalue.Value) (err error) { o.ReportOn, err = v.Signal(); return }),
		option("report_dir", `"/var/log/app"`, func(o *Options, v pyvalue.Value) (err error) { o.ReportDir, err = v.Path(); return }),
		option("report_stderr", "True", func(o *Options, v pyvalue.Value) (err error) { o.ReportStderr, err = v.Bool(); return }),
		option("report_after", "5", func(o *Options, v pyvalue.Value) (err error) { o.ReportAfter, err = v.Timeout(); return }),
		option("shutdown_report", "20", func(o *Options, v pyvalue.Value) (err error) { o.ShutdownReport, err = v.Timeout(); return }),
		option("trigger_file", `"/run/app.manhole"`, func(o *Options, v pyvalue.Value) (err error) { o.TriggerFile, err = v.Path(); return }),
		option("socket_path", `"/tmp/manhole-%p"`, func(o *Options, v pyvalue.Value) (err error) { o.SocketPath, err = v.Path(); return }),
		option("connect_timeout", "60", func(o *Options, v pyvalue.Value) (err error) { o.ConnectTimeout, err = v.Timeout(); return }),
		option("idle_timeout", "900", func(o *Options, v pyvalue.Value) (err error) { o.IdleTimeout, err = v.Timeout(); return }),
		option("reinstall", "True", func(o *Options, v pyvalue.Value) (err error) { o.Reinstall, err = v.Bool(); return }),
		option("strict", "False", func(o *Options, v pyvalue.Value) error {
			strict, err := v.Bool()
			o.Reinstall = !strict
			return err
		}),
		option("reinstall_delay", "0.5", func(o *Options, v pyvalue.Value) (err error) {
			if o.ReinstallDelay, err = v.Duration(); err == nil && o.ReinstallDelay == 0 {
				o.ReinstallDelay = -1 // 0 would mean the default
			}
			return
		}),
		option("sigmask", `"USR1,TERM"`, func(o *Options, v pyvalue.Value) error {
			set, err := v.Sigmask()
			o.Sigmask = (*SignalSet)(set)
			return err
		}),
		option("terminate", "auto", func(o *Options, v pyvalue.Value) (err error) { o.Terminate, err = terminatePolicy(v); return }),
		option("redirect_stderr", "True", func(o *Options, v pyvalue.Value) (err error) { o.RedirectStderr, err = v.Bool(); return }),
		option("connection_handler", `"exec"`, func(o *Options, v pyvalue.Value) (err error) { o.Handler, err = namedHandler(v); return }),
		option("verbose", "False", func(o *Options, v pyvalue.Value) error {
			verbose, err := v.Bool()
			if err == nil && !verbose {
				o.Logger = slog.New(slog.DiscardHandler)
			}
			return err
		}),
	}
}

// parseEnv parses the value of the variable.
func parseEnv(text string) (Options, error) {
	o, option, err := pyvalue.Parse(text, envOptions())
	if err != nil {
		return Options{}, &envError{option, err}
	}
	return o, nil
}

func terminatePolicy(v pyvalue.Value) (TerminatePolicy, error) {
	switch strings.ToLower(v.Text) {
	case "auto":
		return TerminateAuto, nil
	case "reraise":
		return TerminateReraise, nil
	case "leave":
		return TerminateLeave, nil
	}
	return 0, fmt.Errorf("%.40q is no policy; write auto, reraise or leave", v.Text)
}

// namedHandler returns the handler with this name in manhole.
func namedHandler(v pyvalue.Value) (Handler, error) {
	name := strings.TrimPrefix(v.Text, "manhole.")
	switch strings.TrimPrefix(strings.ToLower(name), "handle_connection_") {
	case "repl":
		return Console{}, nil
	case "exec":
		return Exec{}, nil
	}
	return nil, fmt.Errorf("%.40q is no handler; write repl or exec, or call Install with a Handler in the program", v.Text)
}
