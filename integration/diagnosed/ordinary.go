//go:build linux

package main

import "context"

// ordinary are the kinds of goroutines in a service without a fault. Each function
// starts all goroutines of one kind, or of a few kinds that belong together.
var ordinary = []func(){
	// pools and queues, in pools.go
	startMailers, startThumbnails, startCondPool, startBackups, startLabelled, startThreadBound,
	startActors, startShards, startWeighted, startWorkQueue, startConsumers, startBulkhead,
	// clocks.go
	startMetricsReporter, startSessionTimers, startFlagPollers, startLogFlusher, startJanitors,
	startRateLimiter, startElection, startBatchers, startReconnects, startLockedJanitors,
	startHeartbeat, startWatchdogs, startCron, startTick, startUntil, startSpans, startConfigWatcher,
	startDebouncers, startBreakers,
	// lifetimes.go
	startReloader, startShutdown, startContextWaiters, startSubsystems, startForever, startFirstError,
	startLameDuck, startLeases,
	// messages.go
	startBroker, startGenerator, startCoroutine, startFanIn, startReflectSelect, startMachines,
	startWAL, startInformers, startStreams,
	// results.go
	startSingleFlight, startLazyClients, startVersionWatchers, startAckWaiters, startFuture,
	startHedged,
	// deep stacks, in deepstacks.go
	startWorkflows, startMiddleware, startDiskScan, startReports,
	// the network, in network.go
	startTCPServer, startUnixServer, startStatsd, startStreamDecoders, startRPC, startDatabases,
	startSyslog,
	// HTTP, in http.go
	startHTTPServer, startHTTP2,
	// files.go
	startLineReaders, startAuditPipe, startCopiers, startInflater, startTailers, startDeviceReader,
	// processes.go
	startChildren,
}

// startOrdinary starts a few hundred goroutines. All of them wait, and should.
// Together they wake a few times a second.
func startOrdinary() {
	for _, start := range ordinary {
		start()
	}
	rest() // until all of them wait
}

// serving is the context of the goroutines of the service. It is done when the
// service ends.
var serving, stopServing = context.WithCancel(context.Background())
