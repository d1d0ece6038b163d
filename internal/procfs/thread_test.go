package procfs

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThreadOfThisProcess(t *testing.T) {
	needProc(t)
	dir := fmt.Sprintf("/proc/self/task/%d", os.Getpid())
	th, err := ReadThread(dir)
	require.NoError(t, err)
	require.NotEmpty(t, th.Name)
	require.Contains(t, "RSDTtZXIP", string(th.State))
	require.NotEqual(t, "0", WaitChannel(dir))
	_, err = ReadThread("/proc/self/task/0")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Empty(t, WaitChannel("/proc/self/task/0"))
}

func TestThreadWithAnyName(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 7 0 1234 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 17 7 0 0\n"
	for _, name := range []string{"a", "a) R (b", "((", ""} {
		th, err := parseThread([]byte("41 (" + name + ")" + rest))
		require.NoError(t, err)
		require.Equal(t, Thread{Name: name, State: 'S', User: 1500 * time.Millisecond, System: 250 * time.Millisecond, CPU: 7}, th)
	}
	for _, bad := range []string{"", "41 S", ") (", "41 (a) S 1 2", "41 (a) S 1 2 3 4 5 6 7 8 9 10 x 25 0 0 20 0 7 0 1234 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 17 7 0"} {
		_, err := parseThread([]byte(bad))
		require.Error(t, err, bad)
	}
}
