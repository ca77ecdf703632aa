/* A stand-in for libnvidia-ml.so.1 with one device. FAKE_NVML_PID: the process that uses it, which is in the lists of
   compute and of graphics processes, as one that draws and computes is. FAKE_NVML_ERROR: the code with which each reading
   fails. */
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } process_t;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, mem, enc, dec; } sample_t;
typedef struct { unsigned session, pid, vgpu, codec, width, height, fps, latency; } session_t;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

static char device;
static unsigned pid(void) { const char *text = getenv("FAKE_NVML_PID"); return text ? atoi(text) : 0; }
static int error(void) { const char *text = getenv("FAKE_NVML_ERROR"); return text ? atoi(text) : SUCCESS; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &device; return index == 0 ? SUCCESS : NOT_FOUND; }
int nvmlDeviceGetName(void *handle, char *name, unsigned size) { strncpy(name, "Stand-in", size); return SUCCESS; }
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *memory) {
  memory[0] = 1000; memory[1] = 600; memory[2] = 400;
  return error();
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) { rates[0] = 30; rates[1] = 5; return SUCCESS; }
int nvmlDeviceGetEncoderUtilization(void *handle, unsigned *percent, unsigned *period) { *percent = 97; *period = 167000; return SUCCESS; }
int nvmlDeviceGetDecoderUtilization(void *handle, unsigned *percent, unsigned *period) { return NOT_SUPPORTED; }

/* The first call has too little room: there are 40 other processes. */
static int list(unsigned *count, process_t *items, unsigned long long memory) {
  unsigned room = *count;
  *count = 41;
  if (room < 41) return INSUFFICIENT_SIZE;
  memset(items, 0, 41 * sizeof *items);
  for (unsigned i = 0; i < 40; i++) items[i].pid = 4000000000u + i;
  items[40].pid = pid();
  items[40].memory = memory;
  return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_t *items) { return list(count, items, 3ull << 32); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_t *items) { return list(count, items, 3ull << 32); }

int nvmlDeviceGetProcessUtilization(void *handle, sample_t *items, unsigned *count, unsigned long long since) {
  static unsigned long long now;
  if (now++ % 2 == 1) return NOT_FOUND;
  sample_t samples[] = {{pid(), now + 10, 12, 2, 34, 56}, {pid(), now + 5, 99, 99, 99, 99}};
  memcpy(items, samples, sizeof samples);
  *count = 2;
  return SUCCESS;
}
int nvmlDeviceGetEncoderSessions(void *handle, unsigned *count, session_t *items) {
  session_t sessions[] = {{1, pid()}, {2, pid()}};
  memcpy(items, sessions, sizeof sessions);
  *count = 2;
  return SUCCESS;
}
