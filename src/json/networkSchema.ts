import { z } from "zod";
import { bytes, described } from "../jobs/jsonSchemas.ts";

const bytesPerSecond = (description: string) =>
  described(z.number().nullable(), `${description}, in bytes per second`);

export const network = z
  .strictObject({
    tcp_connections: described(z.number().int(), "its TCP connections"),
    tcp_sent_bytes: bytes(
      "sent over its connections and acknowledged, since each was opened; connections that were closed before the first reading are not in it",
    ),
    tcp_received_bytes: bytes("received over the same connections"),
    tcp_retransmitted_bytes: bytes("sent again over the same connections"),
    tcp_sent_bytes_per_second: bytesPerSecond("sent and acknowledged in the interval"),
    tcp_received_bytes_per_second: bytesPerSecond("received in the interval"),
    send_backlog_bytes: described(
      z.number().int(),
      "written by the job and not acknowledged by the receivers yet, in bytes",
    ),
    send_backlog_seconds: described(
      z.number().nullable(),
      "the same in seconds at the rate at which the job writes, of the connection with the most; `null`: there is none, or its rate is not known yet",
    ),
    receive_backlog_bytes: described(z.number().int(), "received and not read by the job yet, in bytes"),
    receiver_limited_percent: described(
      z.number().nullable(),
      "the part of the interval in which a receiver's window held the sending back, 0 to 100; of the connection with the most",
    ),
    device_sent_bytes: bytes(
      "sent by the network devices of the job, all protocols; only in a network namespace that it has alone",
    ),
    device_received_bytes: bytes("received by the same devices"),
    device_sent_bytes_per_second: bytesPerSecond("sent by the same devices in the interval"),
    device_received_bytes_per_second: bytesPerSecond("received by the same devices in the interval"),
  })
  .meta({
    id: "Network",
    description:
      "The TCP connections of a job, as the kernel counts them. Other protocols are only in the keys of devices.",
  });
