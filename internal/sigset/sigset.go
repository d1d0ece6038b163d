// Package sigset knows the names of signals, sets of them, and what may be done
// with each. It knows nothing of who uses them.
package sigset

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Set is a set of signals; bit n-1 is signal n, as the kernel prints
// masks in /proc/PID/status (proc(5)) and ps in its columns pending, blocked,
// ignored and caught.
type Set uint64

// The real-time signals, as the C library numbers them on Linux (signal(7)):
// it keeps 32 and 33 for itself.
const (
	sigRTMin = 34
	SigRTMax = 64
)

// Terminating are the signals that end a program that does not handle them, and
// that people send for that. SIGQUIT is not one of them: it is sent to see the
// stacks.
var Terminating = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// Other names of signals, as kill -l and signal(7) have them.
var signalAliases = map[string]string{
	"SIGIOT":  "SIGABRT",
	"SIGCLD":  "SIGCHLD",
	"SIGPOLL": "SIGIO",
}

// Of returns the set of the signals given; those outside 1 to 64 are
// left out.
func Of(sigs ...syscall.Signal) Set {
	var set Set
	for _, sig := range sigs {
		if sig >= 1 && sig <= 64 {
			set |= 1 << (sig - 1)
		}
	}
	return set
}

func (set Set) Has(sig syscall.Signal) bool {
	return sig >= 1 && sig <= 64 && set&(1<<(sig-1)) != 0
}

// String returns the names in the order of their numbers, with commas between
// (SIGHUP,SIGINT,...), or "none". ParseSet parses it.
func (set Set) String() string {
	if set == 0 {
		return "none"
	}
	var names []string
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if set.Has(sig) {
			names = append(names, Name(sig))
		}
	}
	return strings.Join(names, ",")
}

// Parse parses a signal: its name with or without SIG, in either case
// (USR2, SIGUSR2, sigusr2), its number, or on Linux a real-time signal counted
// from either end (SIGRTMIN+3, RTMAX-1).
func Parse(s string) (syscall.Signal, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("oneshot: no signal has the number %d; they go from 1 to 64", n)
		}
		return syscall.Signal(n), nil
	}
	if !strings.HasPrefix(text, "SIG") {
		text = "SIG" + text
	}
	if alias, ok := signalAliases[text]; ok {
		text = alias
	}
	for sig := syscall.Signal(1); sig <= 64; sig++ { // unix.SignalNum does not know SIG32 and SIGRTMIN
		if Name(sig) == text {
			return sig, nil
		}
	}
	if sig, ok := parseRealTime(text); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("oneshot: unknown signal %.40q; give a name such as USR2 or a number from 1 to 64", s)
}

// ParseSet parses a set of signals: a mask as the kernel prints it
// (0x4b813efb; without the prefix where it has 16 digits or one of a to f), the
// same mask in decimal (1266761467), or names and numbers with commas between
// (USR1,TERM). A decimal number alone is always a mask, never one signal.
func ParseSet(s string) (Set, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	switch {
	case text == "none":
		return 0, nil
	case strings.HasPrefix(text, "0x"):
		return parseMask(s, text[2:], 16)
	case isHex(text) && (len(text) == 16 || strings.ContainsAny(text, "abcdef")):
		return parseMask(s, text, 16)
	case isDecimal(text):
		return parseMask(s, text, 10)
	}
	var set Set
	for name := range strings.SplitSeq(text, ",") {
		sig, err := Parse(name)
		if err != nil {
			return 0, err
		}
		set |= Of(sig)
	}
	return set, nil
}

func parseMask(whole, digits string, base int) (Set, error) {
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, fmt.Errorf("oneshot: %.40q is no signal mask of 64 bits; give one such as 0x4b813efb", whole)
	}
	return Set(n), nil
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

func isDecimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseRealTime parses SIGRTMIN+n and SIGRTMAX-n. A real-time signal has several
// such names, and Name returns one of them.
func parseRealTime(text string) (syscall.Signal, bool) {
	if runtime.GOOS != "linux" {
		return 0, false
	}
	base, digits, sign := sigRTMin, "", 1
	if rest, ok := strings.CutPrefix(text, "SIGRTMIN+"); ok {
		digits = rest
	} else if rest, ok := strings.CutPrefix(text, "SIGRTMAX-"); ok {
		base, digits, sign = SigRTMax, rest, -1
	}
	n, err := strconv.ParseUint(digits, 10, 8)
	sig := base + sign*int(n)
	if err != nil || sig < sigRTMin || sig > SigRTMax {
		return 0, false
	}
	return syscall.Signal(sig), true
}

// Name returns the name of a signal as bash's kill -l prints it, and SIG with
// the number for a signal without a name.
func Name(sig syscall.Signal) string {
	if name := systemSignalName(sig); name != "" {
		return name
	}
	switch n := int(sig); {
	case runtime.GOOS != "linux" || n < sigRTMin || n > SigRTMax:
		return "SIG" + strconv.Itoa(n)
	case n == sigRTMin:
		return "SIGRTMIN"
	case n == SigRTMax:
		return "SIGRTMAX"
	case n <= sigRTMin+15:
		return "SIGRTMIN+" + strconv.Itoa(n-sigRTMin)
	default:
		return "SIGRTMAX-" + strconv.Itoa(SigRTMax-n)
	}
}

// NameOf returns the name of a signal of os/signal, for logs and errors.
func NameOf(sig os.Signal) string {
	if s, ok := sig.(syscall.Signal); ok {
		return Name(s)
	}
	return sig.String()
}
