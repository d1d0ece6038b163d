package oneshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/pyvalue"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

const (
	envName = "ONESHOT"
	maxEnv  = 64 << 10
)

// InstallFromEnv calls Install with the options in the environment variable
// ONESHOT, so that the person who starts the program decides. If the variable is
// not set, it does nothing and returns nil and no error; the methods of a nil
// *Manhole may be called. An empty variable means zero Options.
// Otherwise the variable is a list of name=value separated by commas, at most 64
// KiB long. The strings of manhole's PYTHONMANHOLE work as well:
//
//	ONESHOT='oneshot_on="USR2", reinstall_delay=0.5, verbose=False' ./server
//
//	oneshot_on, activate_on           a signal, as ParseSignal reads it; None: none
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
// errors.Is to distinguish the errors of Install. A program that runs with another
// user's rights (set-user-ID, set-group-ID) does not use the variable, because its
// caller could then make it create files: InstallFromEnv returns an error.
func InstallFromEnv() (*Manhole, error) {
	text, ok := os.LookupEnv(envName)
	switch {
	case !ok:
		return nil, nil
	case !unixsock.Supported:
		return nil, ErrUnsupported
	case os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid():
		return nil, errors.New("oneshot: " + envName + " is not heeded in a set-user-ID or set-group-ID program; call Install there")
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

// envOption is an option that the variable can set.
type envOption struct {
	name    string
	example string // a value, for errors
	set     func(*Options, pyvalue.Value) error
}

var envOptions = []envOption{
	{"oneshot_on", `"USR2"`, func(o *Options, v pyvalue.Value) (err error) { o.OneshotOn, err = v.Signal(); return }},
	{"activate_on", `"USR1"`, func(o *Options, v pyvalue.Value) (err error) { o.ActivateOn, err = v.Signal(); return }},
	{"trigger_file", `"/run/app.manhole"`, func(o *Options, v pyvalue.Value) (err error) { o.TriggerFile, err = v.Path(); return }},
	{"socket_path", `"/tmp/manhole-%p"`, func(o *Options, v pyvalue.Value) (err error) { o.SocketPath, err = v.Path(); return }},
	{"connect_timeout", "60", func(o *Options, v pyvalue.Value) (err error) { o.ConnectTimeout, err = v.Timeout(); return }},
	{"idle_timeout", "900", func(o *Options, v pyvalue.Value) (err error) { o.IdleTimeout, err = v.Timeout(); return }},
	{"reinstall", "True", func(o *Options, v pyvalue.Value) (err error) { o.Reinstall, err = v.Bool(); return }},
	{"strict", "False", func(o *Options, v pyvalue.Value) error {
		strict, err := v.Bool()
		o.Reinstall = !strict
		return err
	}},
	{"reinstall_delay", "0.5", func(o *Options, v pyvalue.Value) (err error) {
		if o.ReinstallDelay, err = v.Duration(); err == nil && o.ReinstallDelay == 0 {
			o.ReinstallDelay = -1 // 0 would mean the default
		}
		return
	}},
	{"sigmask", `"USR1,TERM"`, func(o *Options, v pyvalue.Value) error {
		set, err := v.Sigmask()
		o.Sigmask = (*SignalSet)(set)
		return err
	}},
	{"terminate", "auto", func(o *Options, v pyvalue.Value) (err error) { o.Terminate, err = terminatePolicy(v); return }},
	{"redirect_stderr", "True", func(o *Options, v pyvalue.Value) (err error) { o.RedirectStderr, err = v.Bool(); return }},
	{"connection_handler", `"exec"`, func(o *Options, v pyvalue.Value) (err error) { o.Handler, err = namedHandler(v); return }},
	{"verbose", "False", func(o *Options, v pyvalue.Value) error {
		verbose, err := v.Bool()
		if err == nil && !verbose {
			o.Logger = slog.New(slog.DiscardHandler)
		}
		return err
	}},
}

// envElsewhere has the options of Install or manhole that the variable cannot set.
// Options of manhole are accepted with manhole's default value, since PYTHONMANHOLE
// may contain them.
var envElsewhere = map[string]struct {
	accepts []string // in lower case; true and false include every word that means the same
	why     string
}{
	"no_receiver": {nil, "is not offered here, since nobody would call Wait and the signal would go unheard; leave it out, or call Install with NoReceiver in the program"},
	"authorize":   {nil, "is a Go function, which no variable can hold; call Install with it in the program"},
	"commands":    {nil, "are Go functions, which no variable can hold; call Install with them in the program"},
	"logger":      {nil, "is a Go value, which no variable can hold; call Install with it in the program, or write verbose=False for silence"},

	"patch_fork":          {[]string{"true"}, "has no equivalent, since a Go program does not fork without exec; leave it out"},
	"thread":              {[]string{"true"}, "has no equivalent, since nothing waits for clients before a signal; leave it out"},
	"start_timeout":       {[]string{"0.5", ".5"}, "has no equivalent, since there is no thread to wait for; leave it out"},
	"daemon_connection":   {[]string{"false"}, "has no equivalent, since a Go program that ends waits for nobody; leave it out"},
	"verbose_destination": {[]string{"2"}, "has no equivalent, since the program's slog.Default has the log; leave it out, or write verbose=False for silence"},
	"locals":              {[]string{"none"}, "are Go values, which no variable can hold; call Install with them in the program"},
}

// parseEnv parses the value of the variable.
func parseEnv(text string) (Options, error) {
	var o Options
	if len(text) > maxEnv {
		return o, &envError{"", fmt.Errorf("it has %d bytes; at most %d are read", len(text), maxEnv)}
	}
	s := pyvalue.Scanner{Rest: text}
	seen := map[string]bool{}
	for last := ""; ; {
		name, err := s.Next(last)
		if err != nil {
			return Options{}, &envError{"", err}
		}
		if name == "" {
			break
		}
		last = name
		if err := o.setFromEnv(name, &s, seen); err != nil {
			return Options{}, &envError{name, err}
		}
	}
	return o, nil
}

// setFromEnv reads the value of one option and sets it.
func (o *Options) setFromEnv(name string, s *pyvalue.Scanner, seen map[string]bool) error {
	i := slices.IndexFunc(envOptions, func(opt envOption) bool { return opt.name == name })
	elsewhere, known := envElsewhere[name]
	if i < 0 && !known {
		return unknownOption(name)
	}
	if seen[name] {
		return errors.New("it is given twice; leave one of them out")
	}
	seen[name] = true
	if seen["strict"] && seen["reinstall"] {
		return errors.New("strict and reinstall are one option and its reverse, and both are given; leave one of them out")
	}
	v, err := s.Value()
	switch {
	case known && (err != nil || !v.IsOneOf(elsewhere.accepts)):
		return errors.New(elsewhere.why)
	case known:
		return nil
	case err != nil:
		return fmt.Errorf("%w; write %s=%s", err, name, envOptions[i].example)
	}
	return envOptions[i].set(o, v)
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

// unknownOption returns an error that suggests the option that was probably meant,
// and lists all options.
func unknownOption(name string) error {
	meant, names := "", make([]string, len(envOptions))
	for i, opt := range envOptions {
		names[i] = opt.name
		if plaintext.IsSlip(strings.ToLower(name), opt.name) {
			meant = "did you mean " + opt.name + "? "
		}
	}
	return fmt.Errorf("there is no such option; %sthere are %s", meant, strings.Join(names, ", "))
}
