/**
 * "wrong last sequence", and the same without a number: another message was stored before. Source: JSStreamWrongLastSequenceErrF
 * and JSStreamWrongLastSequenceConstantErr in server/errors.json of nats-server.
 */
export const WRONG_LAST_SEQUENCE: readonly number[] = [10_071, 10_164];
