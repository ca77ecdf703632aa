import type { JobMedia } from "../../metrics/media/mediaReader.ts";
import type { JobNetwork } from "../../metrics/network/networkReader.ts";
import { rounded } from "./jobTable.ts";

export function networkJson(network: JobNetwork | null) {
  if (network === null) return null;
  const { bytes, rates, devices } = network;
  return {
    tcp_connections: network.connections,
    tcp_sent_bytes: bytes.sent,
    tcp_received_bytes: bytes.received,
    tcp_retransmitted_bytes: bytes.retransmitted,
    tcp_sent_bytes_per_second: rounded(rates?.sentBytesPerSecond),
    tcp_received_bytes_per_second: rounded(rates?.receivedBytesPerSecond),
    send_backlog_bytes: network.sendBacklogBytes,
    send_backlog_seconds: rounded(network.sendBacklogSeconds),
    receive_backlog_bytes: network.receiveBacklogBytes,
    receiver_limited_percent: rounded(network.windowLimitedPercent),
    device_sent_bytes: devices?.sent ?? null,
    device_received_bytes: devices?.received ?? null,
    device_sent_bytes_per_second: rounded(rates?.deviceSentBytesPerSecond),
    device_received_bytes_per_second: rounded(rates?.deviceReceivedBytesPerSecond),
  };
}

export function mediaJson(media: JobMedia) {
  return {
    source: media.source,
    media_seconds: rounded(media.mediaSeconds),
    length_seconds: rounded(media.lengthSeconds),
    percent: rounded(media.percent),
    percent_is_estimate: media.isEstimate,
    speed: rounded(media.speed?.factor),
    speed_over_seconds: rounded(media.speed === null ? null : media.speed.overMs / 1000),
    remaining_seconds: rounded(media.remainingSeconds),
    state: media.state,
  };
}
