package stack

import (
	"runtime"
	"strings"
)

// states maps the functions in which goroutines park to the runtime's name of the
// state (waitReasonStrings in runtime2.go). The functions are at the top of a
// stack. If several are found, the outermost counts.
var states = map[string]string{
	"runtime.chanrecv":                      "chan receive",
	"runtime.chansend":                      "chan send",
	"runtime.selectgo":                      "select",
	"runtime.block":                         "select (no cases)",
	"runtime.netpollblock":                  "IO wait",
	"runtime.semacquire1":                   "semacquire",
	"sync.runtime_SemacquireMutex":          "sync.Mutex.Lock",
	"internal/sync.runtime_SemacquireMutex": "sync.Mutex.Lock",
	"sync.runtime_SemacquireRWMutex":        "sync.RWMutex.Lock",
	"sync.runtime_SemacquireRWMutexR":       "sync.RWMutex.RLock",
	"sync.runtime_SemacquireWaitGroup":      "sync.WaitGroup.Wait",
	"sync.runtime_notifyListWait":           "sync.Cond.Wait",
	"time.Sleep":                            "sleep",
	"runtime.gcWaitOnMark":                  "wait for GC cycle",
	"runtime.gcParkAssist":                  "GC assist wait",
	"runtime.ReadTrace":                     "trace reader (blocked)",
	"runtime.coroswitch":                    "coroutine",
	"runtime.gcParkStrongFromWeak":          "GC weak to strong wait",
}

// inSyscall contains the functions that are at the top of a stack in a system call.
var inSyscall = map[string]bool{
	"runtime.cgocall":         true,
	"runtime.notetsleepg":     true, // os/signal waits in it
	"runtime.entersyscall":    true,
	"syscall.Syscall":         true,
	"syscall.Syscall6":        true,
	"syscall.Syscall9":        true,
	"syscall.syscall":         true, // darwin and the BSDs from here on
	"syscall.syscall6":        true,
	"syscall.syscall6X":       true,
	"syscall.syscallX":        true,
	"syscall.syscall9":        true,
	"syscall.syscallPtr":      true,
	"syscall.rawSyscall":      true,
	"syscall.syscalln":        true,
	"runtime.syscall_syscall": true,
}

// nilChannel distinguishes a wait for a nil channel from other waits. chanrecv and
// chansend park for a nil channel in their first nilChannel lines, and otherwise a
// hundred lines further down (runtime/chan.go). TestStatesMatchRuntime fails when
// that changes.
const nilChannel = 40

// state infers what a goroutine of a profile waits for from the runtime's
// frames on top of its stack.
func state(frames []runtime.Frame) string {
	if len(frames) == 0 {
		return "runnable"
	}
	parked := false
	found := ""
	for i, f := range frames {
		switch f.Function {
		case "runtime.gopark", "runtime.goparkunlock":
			parked = true
			continue
		case "runtime.coroswitch":
			parked = true // it parks through mcall, without gopark
		}
		if s, ok := states[f.Function]; ok {
			found = s
			if f.Func != nil && strings.HasPrefix(f.Function, "runtime.chan") {
				if _, begin := f.Func.FileLine(f.Entry); f.Line-begin < nilChannel && i <= 1 {
					found += " (nil chan)"
				}
			}
		}
		if i == 0 && inSyscall[f.Function] {
			return "syscall"
		}
		if !hidden(f.Function) && f.Function != "time.Sleep" {
			break
		}
	}
	switch {
	case !parked:
		return "runnable"
	case found == "":
		return "waiting" // the runtime's name of the state if it has no reason
	}
	return found
}
