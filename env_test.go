//go:build linux || darwin || freebsd

package oneshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/pyvalue"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

var usr1, usr2 = syscall.SIGUSR1, syscall.SIGUSR2

// setOf returns a Sigmask.
func setOf(sigs ...syscall.Signal) *SignalSet {
	set := SignalSet(sigset.Of(sigs...))
	return &set
}

func TestVariableSetsOptions(t *testing.T) {
	silent := slog.New(slog.DiscardHandler)
	for text, want := range map[string]Options{
		"": {OneshotOn: usr2}, " \t\n": {OneshotOn: usr2},
		"oneshot_on=USR1": {OneshotOn: usr1}, `oneshot_on="SIGUSR1"`: {OneshotOn: usr1}, "oneshot_on='usr1'": {OneshotOn: usr1},
		" oneshot_on = USR1 , ": {OneshotOn: usr1}, "oneshot_on=" + strconv.Itoa(int(usr1)): {OneshotOn: usr1},
		"activate_on=USR1":                         {ActivateOn: usr1},
		"activate_on=USR1,oneshot_on=USR2":         {ActivateOn: usr1, OneshotOn: usr2},
		"oneshot_on=None":                          {OneshotOn: usr2},
		"oneshot_on=None,activate_on=USR1":         {ActivateOn: usr1},
		"trigger_file=/run/t":                      {TriggerFile: "/run/t"},
		"trigger_file=None":                        {OneshotOn: usr2},
		"trigger_file=/run/t,oneshot_on=USR2":      {TriggerFile: "/run/t", OneshotOn: usr2},
		"socket_path=None":                         {OneshotOn: usr2},
		"socket_path='None'":                       {OneshotOn: usr2, SocketPath: "None"},
		"socket_path=/tmp/m-%p":                    {OneshotOn: usr2, SocketPath: "/tmp/m-%p"},
		"connect_timeout=30s,idle_timeout=1.5":     {OneshotOn: usr2, ConnectTimeout: 30 * time.Second, IdleTimeout: 1500 * time.Millisecond},
		`connect_timeout="1m30s",idle_timeout="2"`: {OneshotOn: usr2, ConnectTimeout: 90 * time.Second, IdleTimeout: 2 * time.Second},
		"reinstall=True":                           {OneshotOn: usr2, Reinstall: true}, "strict=False": {OneshotOn: usr2, Reinstall: true},
		"reinstall=no": {OneshotOn: usr2}, "strict=1": {OneshotOn: usr2}, "reinstall=ON": {OneshotOn: usr2, Reinstall: true},
		"reinstall_delay=.5": {OneshotOn: usr2, ReinstallDelay: DefaultReinstallDelay},
		"reinstall_delay=0":  {OneshotOn: usr2, ReinstallDelay: -1}, // 0 is the default there
		"verbose=True":       {OneshotOn: usr2}, "verbose=False": {OneshotOn: usr2, Logger: silent}, `verbose="off"`: {OneshotOn: usr2, Logger: silent},
		"terminate=auto": {OneshotOn: usr2}, "terminate='Leave'": {OneshotOn: usr2, Terminate: TerminateLeave},
		"terminate=reraise": {OneshotOn: usr2, Terminate: TerminateReraise},
		"sigmask=all":       {OneshotOn: usr2}, "sigmask=manhole.ALL_SIGNALS": {OneshotOn: usr2},
		"sigmask=None": {OneshotOn: usr2, Sigmask: setOf()}, "sigmask=[]": {OneshotOn: usr2, Sigmask: setOf()},
		`sigmask="USR1,TERM"`:   {OneshotOn: usr2, Sigmask: setOf(usr1, syscall.SIGTERM)},
		"sigmask=0x4000":        {OneshotOn: usr2, Sigmask: setOf(syscall.SIGTERM)},
		`sigmask=["USR1", 15,]`: {OneshotOn: usr2, Sigmask: setOf(usr1, syscall.SIGTERM)},
		`sigmask=( 'TERM', ),`:  {OneshotOn: usr2, Sigmask: setOf(syscall.SIGTERM)},
		`sigmask=[HUP]`:         {OneshotOn: usr2, Sigmask: setOf(syscall.SIGHUP)},
	} {
		o, err := parseEnv(text)
		require.NoError(t, err, text)
		o.OneshotOn = o.withDefaults().OneshotOn
		require.Equal(t, want, o, text)
	}
}

// The strings are values of PYTHONMANHOLE as people write them.
func TestStringsForThePythonManholeAreAccepted(t *testing.T) {
	silent := slog.New(slog.DiscardHandler)
	for text, want := range map[string]Options{
		`oneshot_on="USR2",reinstall_delay=0.5,verbose=False`: {OneshotOn: usr2, ReinstallDelay: 500 * time.Millisecond, Logger: silent},
		`activate_on='USR1', socket_path=r'/tmp/app'`:         {ActivateOn: usr1, SocketPath: "/tmp/app"},
		`verbose=True, verbose_destination=2, patch_fork=True, activate_on=None, oneshot_on=None,
		 sigmask=manhole.ALL_SIGNALS, socket_path=None, reinstall_delay=0.5, locals=None, strict=True`: {
			OneshotOn: usr2, ReinstallDelay: 500 * time.Millisecond},
		`thread=True,start_timeout=0.5,daemon_connection=False,redirect_stderr=True,connection_handler="repl",strict=0`: {
			OneshotOn: usr2, Reinstall: true, RedirectStderr: true, Handler: Console{}},
		`connection_handler=manhole.handle_connection_exec, redirect_stderr=False`: {OneshotOn: usr2, Handler: Exec{}},
		`connection_handler="exec"`:                 {OneshotOn: usr2, Handler: Exec{}},
		`report_on="USR1", report_dir=/var/log/app`: {OneshotOn: usr2, ReportOn: usr1, ReportDir: "/var/log/app"},
		`report_stderr=yes, report_after=5, shutdown_report=20s`: {
			OneshotOn: usr2, ReportStderr: true, ReportAfter: 5 * time.Second, ShutdownReport: 20 * time.Second},
	} {
		o, err := parseEnv(text)
		require.NoError(t, err, text)
		o.OneshotOn = o.withDefaults().OneshotOn
		require.Equal(t, want, o, text)
	}
}

func TestErrorsInTheVariableShowTheRightForm(t *testing.T) {
	for text, want := range map[string][]string{
		"onshot_on=USR2":  {"onshot_on: there is no such option; did you mean oneshot_on? there are oneshot_on, activate_on,"},
		"OneshotOn=USR2":  {"OneshotOn: ", "did you mean oneshot_on?"},
		"oneshot-on=USR2": {"oneshot-on: ", "did you mean oneshot_on?"},
		"colour=red":      {"colour: there is no such option; there are oneshot_on"},
		"\n\x00=1":        {`ONESHOT: \x00: there is no such option`},

		"oneshot_on=USR1,oneshot_on=USR1": {"oneshot_on: it is given twice; leave one"},
		"strict=True,reinstall=False":     {"reinstall: strict and reinstall are one option", "leave one"},

		"oneshot_on":              {`"oneshot_on" has no =; write name=value`},
		"True, 2":                 {`"True" has no =; write name=value`},
		"sigmask=USR1,TERM":       {`"TERM" has no =; if it belongs to sigmask`, `sigmask="USR1,TERM"`},
		"=USR2":                   {"no name stands before a =; write name=value"},
		",":                       {"nothing stands before a comma; write name=value"},
		",oneshot_on=USR2":        {"nothing stands before a comma"},
		"oneshot_on=USR2,,":       {"nothing stands before a comma"},
		"oneshot_on=":             {`oneshot_on: a value is missing; write oneshot_on="USR2"`},
		"oneshot_on=,strict=True": {`oneshot_on: a value is missing; write oneshot_on="USR2"`},
		"idle_timeout==3":         {`idle_timeout: "=3" needs quotes`, "write idle_timeout=900"},

		`oneshot_on="USR2`:                {`oneshot_on: its closing quote " is missing; write oneshot_on="USR2"`},
		`socket_path=r'x\'`:               {`socket_path: its closing quote ' is missing; write socket_path="/tmp/manhole-%p"`},
		`socket_path="x\`:                 {`its closing quote " is missing`},
		`oneshot_on=USR2"`:                {`"USR2\"" needs quotes around it`, `write oneshot_on="USR2"`},
		`oneshot_on="USR2" verbose=False`: {`"verbose=False" stands behind the value of "oneshot_on"; put a comma`},
		"oneshot_on=USR2 verbose=False":   {`"USR2 verbose=False" needs quotes around it, or a comma behind the value`},
		`socket_path=f"x"`:                {"needs quotes"},
		`socket_path="\q"`:                {`socket_path: "\\q" is no escape`, `a backslash is \\, and r"..."`},
		"socket_path=/tmp/a]b":            {`"]b" stands behind the value of "socket_path"`},
		`sigmask=["USR1"`:                 {"sigmask: its list is not closed with ]; write sigmask="},
		`sigmask=("USR1"]`:                {"sigmask: its list is not closed with )"},
		"sigmask=[,]":                     {"sigmask: a value is missing"},
		"sigmask=[[1]]":                   {"sigmask: "},

		"oneshot_on=USR3":                      {`oneshot_on: unknown signal "USR3"; give a name such as USR2`},
		"oneshot_on=0":                         {"oneshot_on: no signal has the number 0"},
		"oneshot_on=KILL":                      {"oneshot_on: SIGKILL opens nothing: it cannot be caught; write", "USR2"},
		"activate_on=['USR1']":                 {"activate_on: it is a list; write one signal"},
		"sigmask=USR3":                         {"sigmask: unknown signal"},
		"sigmask=['USR3']":                     {"sigmask: unknown signal"},
		"socket_path=''":                       {"socket_path: it is no path; write one such as"},
		"trigger_file=[a]":                     {"trigger_file: it is no path"},
		"idle_timeout=0":                       {"idle_timeout: 0 leaves no time; write seconds"},
		"connect_timeout=-1":                   {`connect_timeout: "-1" is out of range; write a time from 0`},
		"connect_timeout=nan":                  {"out of range"},
		"connect_timeout=-1s":                  {"out of range"},
		"reinstall_delay=1e10":                 {`reinstall_delay: "1e10" is out of range`},
		"reinstall_delay=soon":                 {`reinstall_delay: "soon" is no time; write seconds, such as 0.5, or 500ms`},
		"reinstall_delay=1e999":                {"is no time"},
		"reinstall_delay=[1]":                  {"is no time"},
		"verbose=2":                            {`verbose: "2" is neither true nor false; write True or False`},
		"reinstall=None":                       {`reinstall: "None" is neither true nor false`},
		"terminate=TERM":                       {`terminate: "TERM" is no policy; write auto, reraise or leave`},
		"no_receiver=True":                     {"no_receiver: is not offered here", "nobody would call Wait", "leave it out"},
		"no_receiver=False":                    {"is not offered here"},
		"logger=None":                          {"logger: is a Go value"},
		"patch_fork=False":                     {"patch_fork: has no equivalent", "leave it out"},
		"thread=False":                         {"thread: has no equivalent"},
		"daemon_connection=True":               {"daemon_connection: has no equivalent"},
		"verbose_destination=1":                {"verbose_destination: has no equivalent", "slog.Default"},
		"start_timeout=2":                      {"start_timeout: has no equivalent"},
		`locals={"a": 1, 2: 3}`:                {"locals: are Go values, which no variable can hold"},
		"locals=[]":                            {"locals: are Go values, which no variable can hold"},
		"redirect_stderr=2":                    {"redirect_stderr: "},
		"connection_handler=f(x)":              {"connection_handler: "},
		"connection_handler=ipython":           {`connection_handler: "ipython" is no handler; write repl or exec`},
		strings.Repeat(" ", pyvalue.MaxText+1): {"it has 65537 bytes; at most 65536 are read"},
	} {
		o, err := parseEnv(text)
		require.Error(t, err, text)
		require.True(t, strings.HasPrefix(err.Error(), "oneshot: ONESHOT: "), "%s", err)
		require.Equal(t, 1, strings.Count(err.Error(), "oneshot: "), "%s", err)
		require.Zero(t, o, text)
		for _, part := range want {
			require.ErrorContains(t, err, part, text)
		}
	}
}

func TestLongestVariableIsRead(t *testing.T) {
	o, err := parseEnv("oneshot_on=USR1" + strings.Repeat(" ", pyvalue.MaxText-len("oneshot_on=USR1")))
	require.NoError(t, err)
	require.Equal(t, usr1, o.OneshotOn)
}

func TestInstallFromEnvAppliesTheVariable(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s-%p")
	t.Setenv(envName, fmt.Sprintf(`oneshot_on="USR2",verbose=False,socket_path=%q`, path))
	m, err := InstallFromEnv()
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Uninstall() })
	require.Same(t, m, Installed())
	require.Equal(t, strings.ReplaceAll(path, "%p", strconv.Itoa(os.Getpid())), m.Path())
	kill(t, usr2)
	connect(t, m.Path()).leave()

	_, err = InstallFromEnv()
	require.ErrorIs(t, err, ErrAlreadyInstalled)
	require.ErrorContains(t, err, "oneshot: ONESHOT: a manhole is installed")
	require.NoError(t, m.Uninstall())
}

func TestUnsetVariableInstallsNothing(t *testing.T) {
	t.Setenv(envName, "") // to have it restored
	require.NoError(t, os.Unsetenv(envName))
	m, err := InstallFromEnv()
	require.NoError(t, err)
	require.Nil(t, m)
	require.Nil(t, Installed())
}

func TestWrongVariableInstallsNothing(t *testing.T) {
	for text, want := range map[string]error{
		"oneshot_on=USR3":                nil,
		"socket_path=/not/there/s":       os.ErrNotExist,
		`socket_path="/tmp/a\u0000b"`:    nil,
		"oneshot_on=USR2,socket_path=/x": nil, // see below
	} {
		if strings.HasSuffix(text, "/x") {
			text += strings.Repeat("x", 200)
		}
		t.Setenv(envName, text)
		m, err := InstallFromEnv()
		require.ErrorContains(t, err, "oneshot: ONESHOT: ", text)
		require.Nil(t, m)
		require.Nil(t, Installed())
		if want != nil {
			require.ErrorIs(t, err, want)
		}
	}
}

func ExampleInstallFromEnv() {
	// As if started with ONESHOT='oneshot_on="USR2", verbose=False'.
	os.Setenv("ONESHOT", `oneshot_on="USR2", verbose=False`)
	defer os.Unsetenv("ONESHOT")

	m, err := InstallFromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall() // without the variable m is nil, and its methods do nothing
	fmt.Println(m.Signals())
	// Output: [user defined signal 2]
}

// envOf writes options as a variable that parseEnv reads.
func envOf(o Options) string {
	var b strings.Builder
	put := func(name, format string, args ...any) { fmt.Fprintf(&b, name+"="+format+",", args...) }
	str := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	if o.OneshotOn != nil {
		put("oneshot_on", "%d", o.OneshotOn)
	}
	if o.ActivateOn != nil {
		put("activate_on", "%q", sigset.Name(o.ActivateOn.(syscall.Signal)))
	}
	if o.ReportOn != nil {
		put("report_on", "%q", sigset.Name(o.ReportOn.(syscall.Signal)))
	}
	if o.ReportDir != "" {
		put("report_dir", "%s", str(o.ReportDir))
	}
	put("report_stderr", "%t", o.ReportStderr)
	if o.ReportAfter != 0 {
		put("report_after", "%s", o.ReportAfter)
	}
	if o.ShutdownReport != 0 {
		put("shutdown_report", "%s", o.ShutdownReport)
	}
	if o.TriggerFile != "" {
		put("trigger_file", "%s", str(o.TriggerFile))
	}
	if o.SocketPath != "" {
		put("socket_path", "%s", str(o.SocketPath))
	}
	if o.ConnectTimeout != 0 {
		put("connect_timeout", "%s", o.ConnectTimeout)
	}
	if o.IdleTimeout != 0 {
		put("idle_timeout", "%s", o.IdleTimeout)
	}
	if o.ReinstallDelay != 0 {
		put("reinstall_delay", "%s", max(o.ReinstallDelay, 0))
	}
	if o.Sigmask != nil {
		put("sigmask", "%q", o.Sigmask)
	}
	put("reinstall", "%t", o.Reinstall)
	put("redirect_stderr", "%t", o.RedirectStderr)
	if o.Handler == (Exec{}) {
		put("connection_handler", "%s", "exec")
	} else if o.Handler != nil {
		put("connection_handler", "%s", "repl")
	}
	put("verbose", "%t", o.Logger == nil)
	put("terminate", "%s", [...]string{"auto", "reraise", "leave"}[o.Terminate])
	return b.String()
}

func FuzzEnv(f *testing.F) {
	for _, seed := range []string{
		"", `oneshot_on="USR2",reinstall_delay=0.5,verbose=False`, "activate_on=10, strict=no",
		`socket_path=r"/tmp/\x", trigger_file='/\x41\''`, `sigmask=["USR1",15],terminate=leave`, "sigmask=0x4000",
		"connect_timeout=1m,idle_timeout=2,reinstall_delay=0", `report_on=USR1,report_dir="/d",report_stderr=yes,report_after=5,shutdown_report=20s`, `locals={"a": 1}`, "thread=True,", "=,", `a="`, "sigmask=(", "\xff=\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseEnv(text)
		if err != nil {
			// strconv.Quote makes up to ten bytes of each byte.
			if s := err.Error(); !strings.HasPrefix(s, "oneshot: ONESHOT: ") || strings.ContainsAny(s, "\n\r\x1b\x00") || len(s) > 1200 {
				t.Fatalf("%q: the error is %q", text, s)
			}
			if e := (*envError)(nil); !errors.As(err, &e) {
				t.Fatalf("%q: the error is a %T", text, err)
			}
			return
		}
		if o = o.withDefaults(); o.OneshotOn == nil && o.ActivateOn == nil && o.TriggerFile == "" {
			t.Fatalf("%q: nothing opens a window", text)
		}
		if o.ConnectTimeout < 0 || o.IdleTimeout < 0 || o.ReinstallDelay < -1 || o.NoReceiver {
			t.Fatalf("%q: %+v", text, o)
		}
		again := envOf(o)
		if len(again) > pyvalue.MaxText {
			return
		}
		o2, err := parseEnv(again)
		require.NoError(t, err, "%q from %q", again, text)
		require.Equal(t, o, o2, "%q from %q", again, text)
	})
}
