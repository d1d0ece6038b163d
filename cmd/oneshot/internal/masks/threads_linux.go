package masks

import (
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// libcSignals are the two signals that the C library keeps for itself.
const libcSignals = oneshot.SignalSet(1<<(32-1) | 1<<(33-1))

func (m threadMasks) blocksAll() bool { return m.blocked|libcSignals == allBlockable }

// readThreads reads the masks of the threads of a process. The main thread is the
// first of them.
func readThreads(pid int) ([]thread, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	main, err := readThreadMasks(dir, pid)
	if err != nil {
		return nil, err
	}
	threads := []thread{{pid, main}}
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil || tid == pid {
			continue
		}
		masks, err := readThreadMasks(dir, tid)
		if err == nil { // otherwise the thread has ended
			threads = append(threads, thread{tid, masks})
		}
	}
	rereadBlockedThreads(dir, threads)
	slices.SortFunc(threads[1:], func(a, b thread) int { return a.tid - b.tid })
	return threads, nil
}

// rereadBlockedThreads reads the masks of threads that block everything again: most
// of them do so for a moment only.
func rereadBlockedThreads(dir string, threads []thread) {
	const rounds = 50
	for range rounds {
		again := false
		for i, t := range threads {
			if !t.blocksAll() {
				continue
			}
			masks, err := readThreadMasks(dir, t.tid)
			if err == nil { // otherwise the thread has ended
				threads[i].threadMasks = masks
				again = again || masks.blocksAll()
			}
		}
		if !again {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func readThreadMasks(dir string, tid int) (m threadMasks, err error) {
	status, err := procfs.ReadStatus(dir + "/" + strconv.Itoa(tid))
	if err != nil {
		return m, err
	}
	blocked, err := status.Mask("SigBlk")
	if err != nil {
		return m, err
	}
	pending, err := status.Mask("SigPnd")
	return threadMasks{oneshot.SignalSet(blocked), oneshot.SignalSet(pending)}, err
}
