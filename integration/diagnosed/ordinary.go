//go:build linux

package main

import "context"

// ordinary are the kinds of goroutine that a service has while nothing is
// wrong with it. Each function starts all goroutines of one kind, or of a few
// that belong together.
var ordinary = []func(){
	startMailers, startThumbnails, startCondPool, startBackups, startMetricsReporter, startSessionTimers,
	startFlagPollers, startTCPServer, startUnixServer, startHTTPServer, startLineReaders, startAuditPipe,
	startReloader, startShutdown, startContextWaiters, startSubsystems, startBroker, startLogFlusher,
	startJanitors, startRateLimiter, startSingleFlight, startElection, startBatchers, startReconnects,
	startStatsd, startChildren, startForever, startGenerator, startLockedJanitors, startLabelled,
	startLazyClients, startHeartbeat, startStreamDecoders, startRPC, startWorkflows, startMiddleware,
	startDiskScan, startReports, startCopiers, startInflater, startCoroutine, startVersionWatchers,
	startFirstError, startFanIn, startWatchdogs, startReflectSelect, startThreadBound, startActors,
	startMachines, startCron, startDatabases, startHTTP2, startLameDuck, startTick, startLeases, startShards,
	startAckWaiters, startWAL, startTailers, startDeviceReader, startWeighted, startInformers, startWorkQueue,
	startUntil, startStreams, startSpans, startConsumers, startConfigWatcher, startDebouncers, startSyslog,
	startBreakers, startBulkhead, startFuture, startHedged,
}

// startOrdinary starts some hundreds of goroutines, all of which wait and are
// as they should be. Together they wake a few times a second.
func startOrdinary() {
	for _, start := range ordinary {
		start()
	}
	rest() // until the last of them waits
}

// serving is what the goroutines of a service watch for its end.
var serving, stopServing = context.WithCancel(context.Background())
