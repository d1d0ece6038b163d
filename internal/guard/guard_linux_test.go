package guard

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/trap"
)

// silent is a log that nobody reads.
type silent struct{}

func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
func (silent) Flush(time.Duration)  {}

// TestASignalReachesTheProgram sends SIGTERM to this process, in which something else is
// subscribed to it. The guard is without a trap, as on other systems.
func TestASignalReachesTheProgram(t *testing.T) {
	this := func() bool { return true }
	for _, test := range []struct {
		name  string
		raise Raise
		this  func() bool
		times int // the program receives the signal so often
	}{
		{"if unhandled", IfUnhandled, this, 1},
		{"always", Always, this, 2},
		{"never", Never, this, 1},
		{"in a forked child", Always, func() bool { return false }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			programs := make(chan os.Signal, 10)
			signal.Notify(programs, syscall.SIGTERM)
			defer signal.Stop(programs)
			arrived := make(chan syscall.Signal, 1)
			g := New(Config{Oracle: sigthread.New(), Raise: test.raise, IsThis: test.this, Log: silent{}},
				sigset.Terminating[:], func(sig syscall.Signal) { arrived <- sig })
			require.NoError(t, g.Arm(os.Getpid(), "", ""))
			require.True(t, g.Hold())
			g.Unhold()
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
			require.Equal(t, syscall.SIGTERM, testwait.Receive(t, arrived, "the guard to notice the signal"))
			require.True(t, g.Disarm())
			require.Zero(t, g.Fired(), "that is the trap's")
			g.Leave()
			for range test.times {
				testwait.Receive(t, programs, "the program's signal")
			}
			require.Empty(t, programs)
		})
	}
}

// Without a signal, nothing arrives, and nothing is left.
func TestAGuardThatIsNotNeeded(t *testing.T) {
	g := New(Config{Oracle: sigthread.New(), IsThis: func() bool { return true }, Log: silent{}},
		sigset.Terminating[:], func(sig syscall.Signal) { t.Errorf("%v", sig) })
	g.Leave()
	New(Config{}, nil, nil).Leave()
}

// TestASignalOfAnEarlierWindow does not count for a window that could not be opened.
func TestASignalOfAnEarlierWindow(t *testing.T) {
	programs := make(chan os.Signal, 1)
	signal.Notify(programs, syscall.SIGHUP)
	defer signal.Stop(programs)
	shared := trap.New(sigset.Terminating[:])
	if shared == nil {
		t.Skip("there is no trap on this processor")
	}
	defer shared.Release()
	first := New(Config{Trap: shared}, sigset.Terminating[:], nil)
	require.NoError(t, first.Arm(os.Getpid(), "/nowhere", ""))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	testwait.Receive(t, programs, "the program's signal")
	require.True(t, first.Disarm())
	require.Equal(t, syscall.SIGHUP, first.Fired())
	first.Leave()
	require.Zero(t, New(Config{Trap: shared}, sigset.Terminating[:], nil).Fired())
}
