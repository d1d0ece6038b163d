// Package auto installs a manhole on import, if the environment variable ONESHOT is
// set. It is for Go what PYTHONMANHOLE of manhole is for Python. The program needs
// only one line, and the user who starts the program decides:
//
//	import _ "github.com/gomanhole/oneshot/auto"
//
// Without the variable, nothing happens. If the variable is set and empty, SIGUSR2
// opens a window:
//
//	ONESHOT= ./server &
//	kill -USR2 $!; for i in 1 2 3 4 5; do nc -U /tmp/manhole-$! && break; sleep .1; done
//
// Otherwise the variable contains options, separated by commas:
//
//	ONESHOT='oneshot_on="USR1", socket_path="/run/server-%p", verbose=False' ./server
//
// The options have the names of manhole's options, so a value for PYTHONMANHOLE
// works unchanged. [oneshot.InstallFromEnv] lists the options. If the manhole cannot
// be installed, the package writes one line to standard error. The line begins with
// "oneshot: ", and contains the reason and a correct value. The program then runs
// without a manhole.
//
// The manhole is installed before main runs and before the flags are parsed. It
// uses the logger that slog.Default returns when a window opens. A program that
// wants to call Uninstall before it exits gets the manhole from
// [oneshot.Installed]. A program that also calls [oneshot.Install] must set
// Reinstall, to replace the manhole.
//
// The programs that this one starts inherit the variable. Those that import this
// package have a manhole too. Each has its own path if socket_path contains %p.
package auto

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/gomanhole/oneshot"
)

func init() {
	if _, err := oneshot.InstallFromEnv(); err != nil {
		fmt.Fprintln(os.Stderr, oneLine(err.Error()))
	}
}

// oneLine replaces characters that cannot be printed. A path in the message may
// contain them, for example a newline, and the message must be one line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
