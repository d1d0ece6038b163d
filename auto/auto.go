// Package auto installs a manhole on import, if the environment variable ONESHOT
// says so. It is manhole's PYTHONMANHOLE for Go: who starts the program decides,
// and the program has one line for it.
//
//	import _ "github.com/gomanhole/oneshot/auto"
//
// Without the variable nothing happens. Set and empty, it means that SIGUSR2
// opens a window:
//
//	ONESHOT= ./server &
//	kill -USR2 $!; nc -U /tmp/manhole-$!
//
// Otherwise it has options, with commas between:
//
//	ONESHOT='oneshot_on="USR1", socket_path="/run/server-%p", verbose=False' ./server
//
// The names are manhole's, and strings for PYTHONMANHOLE work as they are;
// [oneshot.InstallFromEnv] lists them. If the manhole cannot be installed, one
// line on standard error, which begins with "oneshot: ", says why and what to
// write instead, and the program runs without one.
//
// The manhole is there before main and before the flags are parsed, and logs
// through what slog.Default is when a window opens. [oneshot.Installed] returns
// it, for a program that wants to call Uninstall before it exits. A program that
// calls [oneshot.Install] as well needs Reinstall there, to replace it.
//
// The programs that this one starts inherit the variable: those that import this
// package have a manhole too, each at a path of its own as long as socket_path
// has %p in it.
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

// oneLine keeps a path with a newline or worse in it from making several lines.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
