//go:build linux

package integration

import (
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestASignalThatComesTooEarly is about SIGUSR2 before the first instruction of a program.
// It ends the program, because nothing handles it yet; a shell shows the status 140. From
// the start of the Go runtime until Install it does nothing, which
// TestTheEnvironmentForbidsTheManhole shows.
func TestASignalThatComesTooEarly(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // ptrace(2) belongs to a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(server)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs ptrace: %v", err)
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped(), "it has stopped at its first instruction")
	require.NoError(t, cmd.Process.Signal(usr2))
	require.NoError(t, syscall.PtraceDetach(cmd.Process.Pid))
	require.Error(t, cmd.Wait())
	status = cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(t, usr2, status.Signal(), "%v", cmd.ProcessState)
	require.Equal(t, 140, 128+int(status.Signal()))
}
