package oneshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	envName = "ONESHOT"
	maxEnv  = 64 << 10

	// maxSeconds bounds the times, so that they stay far from the end of
	// time.Duration: 31 years.
	maxSeconds = 1e9
)

// InstallFromEnv is Install with the options that the environment variable
// ONESHOT has, so that who starts the program decides. Where the variable is
// not set there is nothing to do: the manhole is nil and so is the error. An
// empty one means Options{OneshotOn: syscall.SIGUSR2}. Otherwise it is a list
// of name=value with commas between, at most 64 KiB, in which the strings of
// manhole's PYTHONMANHOLE work as well:
//
//	ONESHOT='oneshot_on="USR2", reinstall_delay=0.5, verbose=False' ./server
//
//	oneshot_on, activate_on           a signal, as ParseSignal reads it; None: none
//	trigger_file, socket_path         a path; None: the default
//	connect_timeout, idle_timeout     30s, or a number of seconds
//	reinstall_delay                   the same; 0 is no delay
//	reinstall, or strict, its reverse a bool
//	sigmask                           what ParseSignalSet reads ("USR1,TERM", 0x4000), a list
//	                                  (["USR1", 15]), all, or None for no signal
//	terminate                         auto, reraise or leave
//	verbose                           a bool; False silences the log
//
// Without oneshot_on, activate_on and trigger_file, OneshotOn is SIGUSR2. A
// bool is True or False, or what Go, yes, no, on and off make of it. Quotes are
// those of Python, with its escapes and r"" for none; a value without spaces,
// commas and brackets needs none. manhole's other options (patch_fork, thread,
// locals, ...) may be given with manhole's default value only. The rest of
// Options, NoReceiver among them, only a program can set.
//
// An error names the option, what is wrong with it and what to write instead;
// those of Install can be told apart with errors.Is. A program that runs with
// another user's rights (set-user-ID, set-group-ID) does not heed the variable,
// which would let its caller make files: that is an error, too.
func InstallFromEnv() (*Manhole, error) {
	text, ok := os.LookupEnv(envName)
	switch {
	case !ok:
		return nil, nil
	case !supported:
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

// envError is an error in the variable, or from Install with what it says. The
// prefix of the cause is said once.
type envError struct {
	option string // empty: no one option is at fault
	cause  error
}

func (e *envError) Error() string {
	text := "oneshot: " + envName + ": "
	if e.option != "" {
		quoted := fmt.Sprintf("%.40q", e.option) // it may be anything
		text += quoted[1:len(quoted)-1] + ": "
	}
	return text + strings.TrimPrefix(e.cause.Error(), "oneshot: ")
}

func (e *envError) Unwrap() error { return e.cause }

// envOption is an option that the variable offers.
type envOption struct {
	name    string
	example string // a value, for errors
	set     func(*Options, envValue) error
}

var envOptions = []envOption{
	{"oneshot_on", `"USR2"`, func(o *Options, v envValue) (err error) { o.OneshotOn, err = v.signal(); return }},
	{"activate_on", `"USR1"`, func(o *Options, v envValue) (err error) { o.ActivateOn, err = v.signal(); return }},
	{"trigger_file", `"/run/app.manhole"`, func(o *Options, v envValue) (err error) { o.TriggerFile, err = v.path(); return }},
	{"socket_path", `"/tmp/manhole-%p"`, func(o *Options, v envValue) (err error) { o.SocketPath, err = v.path(); return }},
	{"connect_timeout", "60", func(o *Options, v envValue) (err error) { o.ConnectTimeout, err = v.timeout(); return }},
	{"idle_timeout", "900", func(o *Options, v envValue) (err error) { o.IdleTimeout, err = v.timeout(); return }},
	{"reinstall", "True", func(o *Options, v envValue) (err error) { o.Reinstall, err = v.bool(); return }},
	{"strict", "False", func(o *Options, v envValue) error {
		strict, err := v.bool()
		o.Reinstall = !strict
		return err
	}},
	{"reinstall_delay", "0.5", func(o *Options, v envValue) (err error) {
		if o.ReinstallDelay, err = v.duration(); err == nil && o.ReinstallDelay == 0 {
			o.ReinstallDelay = -1 // 0 would be the default
		}
		return
	}},
	{"sigmask", `"USR1,TERM"`, func(o *Options, v envValue) (err error) { o.Sigmask, err = v.sigmask(); return }},
	{"terminate", "auto", func(o *Options, v envValue) (err error) { o.Terminate, err = v.terminate(); return }},
	{"verbose", "False", func(o *Options, v envValue) error {
		verbose, err := v.bool()
		if err == nil && !verbose {
			o.Logger = slog.New(slog.DiscardHandler)
		}
		return err
	}},
}

// envElsewhere are the names that Install or manhole knows and the variable
// does not offer. Those of manhole's accept its default value, which
// PYTHONMANHOLE may spell out.
var envElsewhere = map[string]struct {
	accepts []string // in lower case; true and false stand for all that mean the same
	why     string
}{
	"no_receiver": {nil, "is not offered here, since nobody would call Wait and the signal would go unheard; leave it out, or call Install with NoReceiver in the program"},
	"authorize":   {nil, "is a Go function, which no variable can hold; call Install with it in the program"},
	"logger":      {nil, "is a Go value, which no variable can hold; call Install with it in the program, or write verbose=False for silence"},

	"patch_fork":          {[]string{"true"}, "has no equivalent, since a Go program does not fork without exec; leave it out"},
	"thread":              {[]string{"true"}, "has no equivalent, since nothing waits for clients before a signal; leave it out"},
	"start_timeout":       {[]string{"0.5", ".5"}, "has no equivalent, since there is no thread to wait for; leave it out"},
	"daemon_connection":   {[]string{"false"}, "has no equivalent, since a Go program that ends waits for nobody; leave it out"},
	"verbose_destination": {[]string{"2"}, "has no equivalent, since the program's slog.Default has the log; leave it out, or write verbose=False for silence"},
	"locals":              {[]string{"none"}, "has no equivalent yet; leave it out"},
	"redirect_stderr":     {[]string{"true"}, "has no equivalent yet; leave it out"},
	"connection_handler": {[]string{"repl", "handle_connection_repl", "manhole.handle_connection_repl"},
		"has no equivalent yet but for the default, repl; leave it out"},
}

// parseEnv reads the variable.
func parseEnv(text string) (Options, error) {
	var o Options
	if len(text) > maxEnv {
		return o, &envError{"", fmt.Errorf("it has %d bytes; at most %d are read", len(text), maxEnv)}
	}
	s := envScanner{rest: text}
	seen := map[string]bool{}
	for last := ""; ; {
		name, err := s.next(last)
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
	if o.OneshotOn == nil && o.ActivateOn == nil && o.TriggerFile == "" {
		sig, err := ParseSignal("USR2") // syscall.SIGUSR2 is not there on Windows
		if err != nil {
			return Options{}, err
		}
		o.OneshotOn = sig
	}
	return o, nil
}

// setFromEnv reads the value of an option and sets it.
func (o *Options) setFromEnv(name string, s *envScanner, seen map[string]bool) error {
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
	v, err := s.value()
	switch {
	case known && (err != nil || !v.isOneOf(elsewhere.accepts)):
		return errors.New(elsewhere.why)
	case known:
		return nil
	case err != nil:
		return fmt.Errorf("%w; write %s=%s", err, name, envOptions[i].example)
	}
	return envOptions[i].set(o, v)
}

// envScanner takes the text apart.
type envScanner struct{ rest string }

func (s *envScanner) space() { s.rest = strings.TrimLeftFunc(s.rest, unicode.IsSpace) }

// take removes c from the front if it is there, spaces before it included.
func (s *envScanner) take(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// next reads a name with its =, and the comma before it unless it is the first.
// At the end the name is empty.
func (s *envScanner) next(last string) (name string, err error) {
	comma := s.take(',')
	s.space()
	if s.rest == "" && (last != "" || !comma) {
		return "", nil
	}
	i := strings.IndexAny(s.rest, "=,")
	switch {
	case last == "" && comma || i == 0 && s.rest[0] == ',':
		return "", errors.New("nothing stands before a comma; write name=value, name=value")
	case last != "" && !comma:
		return "", fmt.Errorf("%.40q stands behind the value of %s; put a comma between two options, and quotes around the whole of a value", s.rest, last)
	case i < 0 || s.rest[i] == ',':
		text := s.rest
		if i >= 0 {
			text = text[:i]
		}
		text = strings.TrimSpace(text)
		if last == "sigmask" {
			return "", fmt.Errorf(`%.40q has no =; if it belongs to sigmask, write that in quotes which the shell leaves alone, sigmask="USR1,TERM"`, text)
		}
		return "", fmt.Errorf(`%.40q has no =; write name=value, such as oneshot_on="USR2"`, text)
	case i == 0:
		return "", errors.New(`no name stands before a =; write name=value, such as oneshot_on="USR2"`)
	}
	name = strings.TrimSpace(s.rest[:i])
	s.rest = s.rest[i+1:]
	return name, nil
}

// envValue is what stands behind a =.
type envValue struct {
	text   string   // without its quotes
	quoted bool     // it had some
	list   []string // the elements of a list; nil: it is none
}

func (s *envScanner) value() (envValue, error) {
	end := byte(']')
	if !s.take('[') {
		end = ')'
		if !s.take('(') {
			return s.scalar()
		}
	}
	list := []string{}
	for !s.take(end) {
		v, err := s.scalar()
		if err != nil {
			return v, err
		}
		list = append(list, v.text)
		if !s.take(',') && (s.rest == "" || s.rest[0] != end) {
			return v, fmt.Errorf("its list is not closed with %c", end)
		}
	}
	return envValue{list: list}, nil
}

// scalar reads one value that is no list.
func (s *envScanner) scalar() (envValue, error) {
	s.space()
	body, raw := s.rest, false
	if len(body) > 1 && strings.IndexByte("rRuU", body[0]) >= 0 && isQuote(body[1]) {
		raw = body[0]|0x20 == 'r'
		body = body[1:]
	}
	if body != "" && isQuote(body[0]) {
		text, rest, err := unquote(body, raw)
		s.rest = rest
		return envValue{text: text, quoted: true}, err
	}
	i := strings.IndexAny(s.rest, ",])")
	if i < 0 {
		i = len(s.rest)
	}
	text := strings.TrimSpace(s.rest[:i])
	s.rest = s.rest[i:]
	switch {
	case text == "":
		return envValue{}, errors.New("a value is missing")
	case strings.ContainsFunc(text, unicode.IsSpace) || strings.ContainsAny(text, `=[({}"'\`):
		return envValue{}, fmt.Errorf("%.40q needs quotes around it, or a comma behind the value", text)
	}
	return envValue{text: text}, nil
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// unquote reads a string as Python has it, up to its closing quote. In a raw one
// a backslash stays, and what follows it ends nothing. UnquoteChar knows the
// escapes, which are the same but for those of the quotes; as in Python, and not
// in Go, \xe9 is the letter and not the byte.
func unquote(s string, raw bool) (text, rest string, err error) {
	quote := s[0]
	var b []byte
	for s = s[1:]; s != ""; {
		switch {
		case s[0] == quote:
			return string(b), s[1:], nil
		case s[0] != '\\':
			b = append(b, s[0])
			s = s[1:]
		case len(s) == 1:
			s = ""
		case raw:
			b = append(b, s[:2]...)
			s = s[2:]
		case isQuote(s[1]):
			b = append(b, s[1])
			s = s[2:]
		default:
			r, _, tail, err := strconv.UnquoteChar(s, 0)
			if err != nil {
				return "", "", fmt.Errorf(`%.2q is no escape that is known here; a backslash is \\, and r"..." has no escapes`, s)
			}
			b = utf8.AppendRune(b, r)
			s = tail
		}
	}
	return "", "", fmt.Errorf("its closing quote %c is missing", quote)
}

func (v envValue) none() bool { return v.list == nil && !v.quoted && v.text == "None" }

func (v envValue) signal() (os.Signal, error) {
	if v.none() {
		return nil, nil
	}
	if v.list != nil {
		return nil, errors.New(`it is a list; write one signal, such as "USR2"`)
	}
	sig, err := ParseSignal(v.text)
	if err != nil {
		return nil, err
	}
	if why := notForUse(sig); why != "" {
		return nil, fmt.Errorf(`%s opens nothing: %s; write "USR1" or "USR2"`, nameOf(sig), why)
	}
	return sig, nil
}

func (v envValue) path() (string, error) {
	if v.none() {
		return "", nil
	}
	if v.list != nil || v.text == "" {
		return "", errors.New(`it is no path; write one such as "/tmp/manhole-%p", or None for the default`)
	}
	return v.text, nil
}

func (v envValue) bool() (bool, error) {
	switch strings.ToLower(v.text) {
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(v.text))
	if err != nil {
		return false, fmt.Errorf("%.40q is neither true nor false; write True or False", v.text)
	}
	return b, nil
}

// duration reads a time that is not negative.
func (v envValue) duration() (time.Duration, error) {
	d, err := time.ParseDuration(v.text)
	if seconds, notNumber := strconv.ParseFloat(v.text, 64); notNumber == nil {
		d, err = -1, nil
		if seconds >= 0 && seconds <= maxSeconds { // NaN is not
			d = time.Duration(seconds * float64(time.Second))
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.40q is no time; write seconds, such as 0.5, or 500ms, 30s, 15m", v.text)
	case d < 0 || d > maxSeconds*time.Second:
		return 0, fmt.Errorf("%.40q is out of range; write a time from 0 to %d seconds", v.text, int(maxSeconds))
	}
	return d, nil
}

func (v envValue) timeout() (time.Duration, error) {
	d, err := v.duration()
	if err == nil && d == 0 {
		return 0, errors.New("0 leaves no time; write seconds, such as 60, or leave the option out for the default")
	}
	return d, err
}

// sigmask reads manhole's sigmask as well: a list, and None, of which manhole
// makes that nothing is blocked.
func (v envValue) sigmask() (*SignalSet, error) {
	var set SignalSet
	switch name := strings.ToLower(v.text); {
	case v.list != nil:
		for _, text := range v.list {
			sig, err := ParseSignal(text)
			if err != nil {
				return nil, err
			}
			set |= signalSet(sig)
		}
	case name == "all" || name == "all_signals" || name == "manhole.all_signals":
		return nil, nil
	default:
		var err error
		if set, err = ParseSignalSet(v.text); err != nil {
			return nil, err
		}
	}
	return &set, nil
}

func (v envValue) terminate() (TerminatePolicy, error) {
	switch strings.ToLower(v.text) {
	case "auto":
		return TerminateAuto, nil
	case "reraise":
		return TerminateReraise, nil
	case "leave":
		return TerminateLeave, nil
	}
	return 0, fmt.Errorf("%.40q is no policy; write auto, reraise or leave", v.text)
}

// isOneOf says whether the value is one of those that envElsewhere accepts.
func (v envValue) isOneOf(accepted []string) bool {
	text := strings.ToLower(v.text)
	if b, err := v.bool(); err == nil && slices.Contains(accepted, strconv.FormatBool(b)) {
		return true
	}
	return v.list == nil && slices.Contains(accepted, text)
}

// unknownOption lists the names there are, and first the one that is meant.
func unknownOption(name string) error {
	meant, names := "", make([]string, len(envOptions))
	for i, opt := range envOptions {
		names[i] = opt.name
		if isSlip(strings.ToLower(name), opt.name) {
			meant = "did you mean " + opt.name + "? "
		}
	}
	return fmt.Errorf("there is no such option; %sthere are %s", meant, strings.Join(names, ", "))
}

// isSlip says whether a and b differ in one place by at most two letters, as
// OneshotOn and manhole's own onshot_on do from oneshot_on.
func isSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 2 && len(b) <= 2
}
