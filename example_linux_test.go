package oneshot_test

import (
	"fmt"

	"github.com/gomanhole/oneshot"
)

func ExampleParseSignalSet() {
	set, err := oneshot.ParseSignalSet("0x4b813efb") // as ps -o caught prints it
	fmt.Println(set, err)
	// Output: SIGHUP,SIGINT,SIGILL,SIGTRAP,SIGABRT,SIGBUS,SIGFPE,SIGUSR1,SIGSEGV,SIGUSR2,SIGPIPE,SIGALRM,SIGCHLD,SIGXCPU,SIGXFSZ,SIGVTALRM,SIGWINCH,SIGSYS <nil>
}

func ExampleParseSignal() {
	for _, text := range []string{"USR2", "sigterm", "15"} {
		sig, err := oneshot.ParseSignal(text)
		fmt.Println(sig, err)
	}
	// Output:
	// user defined signal 2 <nil>
	// terminated <nil>
	// terminated <nil>
}

func ExampleSignalSet_String() {
	set := oneshot.SignalSet(0x4003) // as SigBlk in /proc/PID/status
	fmt.Println(set)
	fmt.Println(oneshot.SignalSet(0))
	// Output:
	// SIGHUP,SIGINT,SIGTERM
	// none
}
