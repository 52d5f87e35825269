// What browsers have and the oldest supported Node has not.
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket;
