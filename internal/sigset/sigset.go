// Package sigset parses and prints the names of signals and sets of signals. It also
// knows which signals a manhole can use.
package sigset

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Set is a set of signals. Bit n-1 is signal n. The kernel uses the same form for the
// masks in /proc/PID/status (proc(5)), and ps for its columns pending, blocked, ignored
// and caught.
type Set uint64

// The first and the last real-time signal, as the C library numbers them on Linux
// (signal(7)). The C library keeps 32 and 33 for itself.
const (
	sigRTMin = 34
	SigRTMax = 64
)

// Terminating has the signals that people send to end a program. They end a program
// that does not handle them. SIGQUIT is not among them: people send it to see the
// stacks.
var Terminating = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// signalAliases maps the second name of a signal in kill -l and signal(7) to the
// first.
var signalAliases = map[string]string{
	"SIGIOT":  "SIGABRT",
	"SIGCLD":  "SIGCHLD",
	"SIGPOLL": "SIGIO",
}

// Of returns the set of the given signals. It leaves out numbers that are not from 1
// to 64.
func Of(sigs ...syscall.Signal) Set {
	var set Set
	for _, sig := range sigs {
		if sig >= 1 && sig <= 64 {
			set |= 1 << (sig - 1)
		}
	}
	return set
}

// Has reports whether the set contains sig.
func (set Set) Has(sig syscall.Signal) bool {
	return sig >= 1 && sig <= 64 && set&(1<<(sig-1)) != 0
}

// String returns the names in the order of the numbers, separated by commas
// (SIGHUP,SIGINT,...). It returns "none" for the empty set. ParseSet parses the result.
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

// Parse parses a signal. It accepts the name in upper or lower case, with or without
// SIG (USR2, SIGUSR2, sigusr2), and the number. On Linux it also accepts a real-time
// signal relative to the first or the last (SIGRTMIN+3, RTMAX-1).
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

// ParseSet parses a set of signals. It accepts a mask in hexadecimal, as the kernel
// prints it (0x4b813efb). The prefix may be missing if the mask has 16 digits, or at
// least one of the digits a to f. It accepts the same mask in decimal (1266761467), and
// names and numbers separated by commas (USR1,TERM). A decimal number alone is always a
// mask, never a single signal.
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

// parseRealTime parses SIGRTMIN+n and SIGRTMAX-n. A real-time signal has a name of each
// form. Name returns only one of them.
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

// Name returns the name of a signal as bash's kill -l prints it. For a signal without
// a name it returns SIG and the number.
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

// Check returns an error for a signal that os/signal cannot deliver, and for one that
// arrives all the time without anybody sending it. option is the name of the option that
// has the signal, which may be nil.
func Check(option string, sig os.Signal) error {
	if sig == nil {
		return nil
	}
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("oneshot: %s is a %T; give a syscall.Signal such as syscall.SIGUSR2", option, sig)
	}
	if why := Unusable(s); why != "" {
		return fmt.Errorf("oneshot: %s cannot be %s: %s; use syscall.SIGUSR1 or SIGUSR2", option, Name(s), why)
	}
	return nil
}
