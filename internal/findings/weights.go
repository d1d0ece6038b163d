package findings

// The weights of the findings. The finding with the largest weight comes first.
const (
	weightDescriptors = 990
	weightAsleep      = 980
	weightDeadlock    = 950
	weightLockQueue   = 900 // plus the number of goroutines, up to weightOfCount
	weightMemoryLimit = 850
	weightStuckWrite  = 800 // plus the number of goroutines, up to weightOfCount
	weightSpinning    = 750 // plus the number of goroutines, up to weightOfSpinners
	weightPool        = 720 // plus the number of goroutines, up to weightOfCount
	weightNetwork     = 700 // plus the number of goroutines, up to weightOfCount
	weightShared      = 690 // plus the number of goroutines, up to weightOfCount
	weightProved      = 650 // plus the number of goroutines, up to weightOfCount
	weightUnreached   = 645 // plus the number of goroutines, up to weightOfCount
	weightHeld        = 640 // plus the number of goroutines, up to weightOfCount
	weightLeak        = 600 // plus the group's share of all goroutines in percent
	weightGrowth      = 100 // is added for a leak that grew between the looks
	weightBodies      = 580
	weightOldRequest  = 450
	weightStuckWorker = 400 // plus the index of the frame in the program's code
	weightHeap        = 300

	weightOfCount    = 50
	weightOfSpinners = 40
)

// The thresholds for goroutines.
const (
	minSenders      = 20  // at one place; a pool does not idle in a send
	minReceivers    = 100 // at one place; a pool can idle in a receive
	minBodies       = 20  // that nobody reads, for minutes
	minNetworkWaits = 10  // at one place
	minQueueUnknown = 10  // in a queue, if we do not know whether the same ones are in it at each look
	maxLockHolders  = 10  // a lock has one holder, so a larger group is probably not the holder

	maxLeakSites     = 5    // that a finding shows
	minWorkers       = 4    // with the same task, to say that one of them is stuck
	minMovingWorkers = 3    // workers of this task that go on
	workersPerStuck  = 8    // no more than one of this number may be stuck
	maxChance        = 0.02 // of seeing a worker at the same place by chance
	longWait         = 2    // minutes that no goroutine waits by chance
	maxOldRequests   = 2    // at one place; more of them probably wait for events by design
	maxServers       = 2    // that owe answers, which a finding shows
	maxLabel         = 200  // bytes of pprof labels
)

// The thresholds for CPU time and memory.
const (
	minBusyCPUs       = 0.25 // the CPUs that a loop uses: it has one for itself, unless others want it too
	minUserTime       = 0.6  // the share of user mode in the CPU time of a program with a loop
	minUserTimeNoIDs  = 0.7  // the same if we do not know which goroutine runs; a busy server uses the system more
	looksForSpinning  = 3
	maxSpinningPlaces = 3 // that are reported

	minHeap        = 128 << 20 // bytes; it does not matter what holds a smaller heap
	minLimitUsed   = 90        // percent of a limit
	minCollections = 5         // garbage collections per second
)

// almostAll returns nine tenths of n. A few of many goroutines may come and go.
func almostAll(n int) int { return n * 9 / 10 }
